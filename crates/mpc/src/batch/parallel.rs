//! Work on several cores inside one round.

use std::sync::{Mutex, PoisonError};

/// Does `work` with every item, on up to `threads` threads; this one is among them. Each thread has a scratch space of its own.
/// Which thread takes which item is left to chance, so `work` must not care.
pub(crate) fn for_each<T: Send, S>(
    threads: usize,
    items: Vec<T>,
    scratch: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, T) + Sync,
) {
    let threads = threads.min(items.len());
    if threads <= 1 {
        let mut scratch = scratch();
        return items.into_iter().for_each(|item| work(&mut scratch, item));
    }
    let items = Mutex::new(items.into_iter());
    let take = || items.lock().unwrap_or_else(PoisonError::into_inner).next();
    let run = || {
        let mut scratch = scratch();
        while let Some(item) = take() {
            work(&mut scratch, item);
        }
    };
    // A panic in a thread goes on in this one, when the scope ends.
    std::thread::scope(|scope| {
        (1..threads).for_each(|_| {
            scope.spawn(run);
        });
        run();
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_item_is_done_once() {
        for threads in [0, 1, 2, 7] {
            for count in [0, 1, 5, 100] {
                let mut done = vec![0; count];
                let scratches = AtomicUsize::new(0);
                let scratch = || scratches.fetch_add(1, Ordering::Relaxed);
                for_each(threads, done.iter_mut().collect(), scratch, |_, done| *done += 1);
                assert!(done.iter().all(|done| *done == 1));
                assert!(scratches.into_inner() <= threads.max(1));
            }
        }
    }
}
