#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::web::sd_jwt(bytes));
