//! Loops over bits and words, compiled once for every width of vectors that a processor may have.
//!
//! The code is the same in each version: the compiler finds the vector instructions. Which version runs follows from the
//! kernel of the inner products, so that `COMMONS_KERNEL` chooses both.

use super::{Kernel, selected};

/// Vector instructions for everything but the inner products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vectors {
    /// What the target always has.
    Portable,
    /// x86-64 with AVX2.
    Avx2,
    /// x86-64 with AVX-512BW.
    Avx512,
}

impl Vectors {
    /// Those that go with the kernel of this process.
    pub fn selected() -> Self {
        Self::of(selected())
    }

    /// Those that go with `kernel`, which must be [`Kernel::available`]; else the portable ones.
    pub fn of(kernel: Kernel) -> Self {
        match kernel {
            _ if !kernel.is_available() => Self::Portable,
            Kernel::Portable => Self::Portable,
            Kernel::Avx2 => Self::Avx2,
            Kernel::Avx512 | Kernel::Avx512Vnni | Kernel::Amx => Self::Avx512,
        }
    }

    /// Those that this machine can run, narrowest first.
    pub fn available() -> Vec<Self> {
        let mut all: Vec<Self> = Kernel::available().into_iter().map(Self::of).collect();
        all.dedup();
        all
    }
}

/// Defines functions that take the vectors to use as their first argument.
///
/// Invariant: `Vectors::Avx2` and `Vectors::Avx512` come from [`Vectors::of`], or were compared with [`Vectors::available`];
/// the generated code asks the processor again, which is one load.
macro_rules! vectorised {
    ($($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $result:ty)? $body:block)*) => {$(
        $(#[$doc])*
        $vis fn $name(vectors: $crate::kernel::vectors::Vectors, $($arg: $ty),*) $(-> $result)? {
            #[inline(always)]
            fn body($($arg: $ty),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,popcnt")]
            fn avx512($($arg: $ty),*) $(-> $result)? {
                body($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,popcnt")]
            fn avx2($($arg: $ty),*) $(-> $result)? {
                body($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            match vectors {
                $crate::kernel::vectors::Vectors::Avx512 if $crate::kernel::vectors::has_avx512() => {
                    // SAFETY: the processor has what the function was compiled for.
                    return unsafe { avx512($($arg),*) };
                }
                $crate::kernel::vectors::Vectors::Avx2 if $crate::kernel::vectors::has_avx2() => {
                    // SAFETY: as above.
                    return unsafe { avx2($($arg),*) };
                }
                _ => {}
            }
            #[cfg(not(target_arch = "x86_64"))]
            let _ = vectors;
            body($($arg),*)
        }
    )*};
}
pub(super) use vectorised;

#[cfg(target_arch = "x86_64")]
pub(super) fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("popcnt")
}

#[cfg(target_arch = "x86_64")]
pub(super) fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt")
}
