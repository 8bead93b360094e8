//! What this machine is: a figure without its machine says nothing.

use serde::Serialize;

/// Features of the processor that the kernels and the protocol can use.
const FEATURES: [&str; 11] =
    ["aes", "vaes", "sha_ni", "avx2", "avx512f", "avx512bw", "avx512_vnni", "avx512_vpopcntdq", "gfni", "amx_int8", "asimd"];

/// Facts for the report.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) features: Vec<String>,
    /// Of the inner products: the fastest, or what COMMONS_KERNEL names.
    pub(crate) kernel: &'static str,
    /// Instructions of the plaintext matchers.
    pub(crate) plaintext: &'static str,
    pub(crate) os: &'static str,
    pub(crate) version: &'static str,
    pub(crate) date: String,
}

impl Machine {
    /// This one.
    pub(crate) fn here() -> Self {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| {
            let line = cpu.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name));
            line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
        };
        let flags = field("flags").or_else(|| field("Features")).unwrap_or_default();
        let known = FEATURES.into_iter().filter(|feature| flags.split(' ').any(|flag| flag == *feature));
        let name = field("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
        Self {
            cpu: field("model").map_or_else(|| name.clone(), |model| format!("{name}, model {model}")),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: memory("MemTotal:"),
            features: known.map(str::to_owned).collect(),
            kernel: mpc::kernel::selected().name(),
            plaintext: mpc::kernel::plaintext::instructions(),
            os: std::env::consts::OS,
            version: env!("CARGO_PKG_VERSION"),
            date: jiff::Zoned::now().strftime("%Y-%m-%d").to_string(),
        }
    }
}

/// Bytes that programs may still take; the largest number where the system does not say.
pub(crate) fn available_bytes() -> u64 {
    match memory("MemAvailable:") {
        0 => u64::MAX,
        bytes => bytes,
    }
}

fn memory(field: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| 1024 * kib)
}
