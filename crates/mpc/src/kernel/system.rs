//! Two requests to the operating system that have no interface in the standard library: tiles and large pages.

#![cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "system calls are one instruction"))]

use super::layout::Line;

/// Asks Linux to let this process use AMX tiles (`Documentation/arch/x86/xstate.rst`). Whether it agreed.
#[cfg(target_arch = "x86_64")]
pub(super) fn request_tiles() -> bool {
    const ARCH_PRCTL: usize = 158;
    const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
    const XFEATURE_XTILEDATA: usize = 18;
    // SAFETY: the request has integer arguments and only extends what this process may use.
    cfg!(target_os = "linux") && unsafe { system_call(ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA, 0) } == 0
}

/// Asks Linux to back the capacity of `lines` with 2 MiB pages where it can: reading memory once from end to end is then
/// about a third faster. A refusal changes nothing.
pub(crate) fn prefer_large_pages(lines: &mut Vec<Line>) {
    #[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
    {
        const MADVISE: usize = 28;
        const MADV_HUGEPAGE: usize = 14;
        const PAGE: usize = 4096;
        let start = lines.as_mut_ptr().addr();
        let end = start.saturating_add(lines.capacity().saturating_mul(size_of::<Line>())) / PAGE * PAGE;
        let start = start.next_multiple_of(PAGE);
        if start < end {
            // SAFETY: the range lies within the allocation, and this advice never changes what memory holds.
            unsafe { system_call(MADVISE, start, end - start, MADV_HUGEPAGE) };
        }
    }
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux", not(miri))))]
    let _ = lines;
}

/// A Linux system call with three arguments.
///
/// # Safety
/// The call must not break what the compiler may assume of this program's memory.
#[cfg(target_arch = "x86_64")]
unsafe fn system_call(number: usize, first: usize, second: usize, third: usize) -> isize {
    let result;
    // SAFETY: the `syscall` instruction overwrites RAX, RCX and R11; the caller vouches for the call.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    result
}
