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

/// Time of all cores since the machine was started, in ticks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Processor {
    all: u64,
    idle: u64,
    own: u64,
}

impl Processor {
    pub(crate) fn now() -> Self {
        let numbers = |text: &str| -> Vec<u64> { text.split_whitespace().map(|word| word.parse().unwrap_or(0)).collect() };
        let system = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        // user, nice, system, idle, waiting for disks, two kinds of interrupts, and stolen by other guests of the host.
        let cores = numbers(system.lines().next().unwrap_or_default().trim_start_matches("cpu"));
        let own = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // Behind the name, which is field 2 and may hold spaces: fields 14 and 15 of proc(5), user and system.
        let own = numbers(own.rsplit_once(") ").map_or("", |(_, rest)| rest));
        Self {
            all: cores.iter().take(8).sum(),
            idle: cores.iter().skip(3).take(2).sum(),
            own: own.iter().skip(11).take(2).sum(),
        }
    }

    /// Share of all cores that other programs have taken since then; 0 where the system does not tell.
    #[expect(clippy::cast_precision_loss, reason = "ticks of hours")]
    pub(crate) fn others(self) -> f64 {
        let now = Self::now();
        let [all, idle, own] =
            [(now.all, self.all), (now.idle, self.idle), (now.own, self.own)].map(|(now, then)| now.saturating_sub(then));
        all.saturating_sub(idle).saturating_sub(own) as f64 / all.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_work_is_not_that_of_others() {
        let before = Processor::now();
        let begin = std::time::Instant::now();
        let mut sum = 0u64;
        while begin.elapsed().as_millis() < 100 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let now = Processor::now();
        if cfg!(target_os = "linux") {
            // A hundred ticks a second.
            assert!(now.own > before.own && now.all > before.all);
        }
        assert!((0.0..=1.0).contains(&before.others()));
    }
}
