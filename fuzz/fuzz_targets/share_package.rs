#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::share_package(bytes));
