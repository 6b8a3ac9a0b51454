#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::proxy_protocol::check(data));
