//! The disk of one node fills up while the commons runs: the node refuses clearly, loses nothing, keeps a shield all the same, and
//! goes on when there is room.
//!
//! The disk is a small file system in memory, which takes the right to mount one (root). Without that right the test says so and ends.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that meets the unexpected should panic"
)]

mod common;

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use client::native::NativeClient;
use client::request::Template;
use client::{Error, Patience};
use common::{ready, until};
use node::store::Store;
use sim::Commons;
use sim::commons::{PROFILE, program};
use sim::crowd::{Crowd, Person};
use tempfile::TempDir;
use types::NodeId;
use types::message::Outcome;

const MIB: u64 = 1 << 20;
/// More than a node keeps free, and little.
const DISK_MIB: u64 = 56;

/// A small disk.
struct Disk(TempDir);

impl Disk {
    /// Absent when this process may not mount one.
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={DISK_MIB}m");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).output().ok()?;
        mount.status.success().then_some(Self(folder))
    }

    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }

    /// Leaves so many bytes free.
    fn fill(&self, leave: u64) {
        let _ = std::fs::remove_file(self.ballast());
        let mut file = File::create(self.ballast()).unwrap();
        let (zeros, mut length) = (vec![0; 64 * 1024], 0);
        loop {
            match file.write(&zeros) {
                Ok(0) => break,
                Ok(written) => length += written as u64,
                Err(error) => break assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}"),
            }
        }
        file.set_len(length - leave).unwrap();
    }

    fn empty(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).output();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_disk_is_full_refuses_loses_nothing_and_goes_on_when_there_is_room() {
    let Some(disk) = Disk::new() else {
        eprintln!("NOT RUN: this needs the right to mount a file system");
        return;
    };
    let full = NodeId::ALL[1];
    let mut commons = Commons::create_on(&program(env!("CARGO")).unwrap(), PROFILE, |node, data| {
        if node != full {
            return Ok(());
        }
        let inside = disk.0.path().join("data");
        std::fs::create_dir(&inside)?;
        std::os::unix::fs::symlink(inside, data)
    })
    .unwrap();
    NodeId::ALL.into_iter().for_each(|node| commons.start(node).unwrap());
    let patience = Patience { lifetime_s: 20, ..Patience::default() };
    let client = NativeClient::connect(commons.roster().clone()).unwrap().with_patience(patience);
    ready(&client, &commons).await;
    let mut crowd = Crowd::new(9, 64);
    let people: Vec<Person> = (0..3).map(|_| crowd.person()).collect();
    let [ada, ben, cleo] = people.as_slice() else { panic!("three people") };
    let profile = commons.roster().profiles[0].clone();
    let enrol = async |person: &Person| {
        let values = person.template(&profile);
        client.enrol(&person.device, Template { profile: &profile.id, values: &values }, "").await
    };
    assert!(matches!(enrol(ada).await.unwrap().outcome(), Outcome::Enrolled { .. }));

    disk.fill(4 * MIB);
    until("the node sees it", async || commons.log(full).contains("too little room on the disk")).await;
    let refused = enrol(ben).await.unwrap_err();
    assert!(matches!(&refused, Error::TryAgain { code, .. } if code == "storage-full"), "{refused:?}");
    assert!(refused.to_string().contains("disk is full"), "{refused}");
    // What is kept free is for this: nobody should have to wait for a disk to stop a use.
    let shield = client.shield_up(&ada.device).await.unwrap();
    for statement in shield.statements.all().unwrap() {
        assert!(statement.member.as_ref().unwrap().shield.is_some(), "{statement:?}");
    }

    // To the last byte, and a crash.
    disk.fill(0);
    assert!(enrol(ben).await.is_err());
    assert!(commons.runs(full).unwrap(), "{}", commons.log(full));
    commons.kill(full).unwrap();
    commons.start(full).unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(enrol(ben).await.is_err());
    let waits = commons.runs(full).unwrap();
    if !waits {
        let log = commons.log(full);
        assert!(log.contains("disk"), "a node that cannot start for want of room says so: {log}");
    }

    disk.empty();
    if !waits {
        commons.start(full).unwrap();
    }
    ready(&client, &commons).await;
    until("the node decides again", async || enrol(ben).await.is_ok()).await;
    assert!(matches!(enrol(cleo).await.unwrap().outcome(), Outcome::Enrolled { .. }));
    let statements = client.status(&ada.device).await.unwrap();
    assert!(statements.agree());
    assert!(statements.all().unwrap().iter().all(|statement| statement.member.as_ref().unwrap().shield.is_some()));
    for node in NodeId::ALL {
        commons.stop(node).unwrap();
    }
    let mut found = Vec::new();
    for node in NodeId::ALL {
        let report = node::fsck(&commons.data(node), node, commons.roster(), false).await.unwrap();
        assert!(report.is_sound(), "{}", report.text());
        let store = Store::open(&commons.data(node), node, commons.roster()).await.unwrap();
        found.push((store.chain().await.unwrap(), store.record_counts().await.unwrap()));
    }
    assert!(found.iter().all(|one| *one == found[0]), "{found:?}");
    assert_eq!(found[0].1[0].1, 3);
}
