#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::log::monitor_state(bytes));
