//! A small disk for a test: a file system in memory, in a mount namespace that goes away with the test.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A mounted disk.
pub(crate) struct SmallDisk {
    pub(crate) folder: PathBuf,
}

/// Set in a process that may mount.
const MARK: &str = "CERTSIFT_TEST_MAY_MOUNT";
const SIZE: &str = "size=96m";

/// Runs a test again in a process that may mount, and fails when that one does; there it gives `true`. Where no process
/// may, the test is skipped, which is said loudly.
pub(crate) fn may_mount(test: &str) -> bool {
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    // The first is for root; the second makes a user root in a world of its own.
    let Some(unshare) = ["-m", "-rm"].into_iter().find(|flags| can_mount(flags)) else {
        // Not `eprintln`, which the test harness keeps to itself.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: neither root nor a user may mount a small disk here");
        return false;
    };
    let mut command = Command::new("unshare");
    command.arg(unshare).arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]);
    let output = command.env(MARK, "1").output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "there is no test of the name {test}: {said}");
    false
}

fn can_mount(flags: &str) -> bool {
    let mut command = Command::new("unshare");
    command.args([flags, "mount", "-t", "tmpfs", "none"]).arg(std::env::temp_dir());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

impl SmallDisk {
    /// Mounts an empty disk on a folder, which is made.
    pub(crate) fn mount(folder: PathBuf) -> Self {
        std::fs::create_dir(&folder).unwrap();
        let mut command = Command::new("mount");
        assert!(command.args(["-t", "tmpfs", "-o", SIZE, "none"]).arg(&folder).status().unwrap().success());
        Self { folder }
    }

    /// Takes all space that is left.
    pub(crate) fn fill(&self) {
        let mut filler = File::create(self.folder.join("filler")).unwrap();
        let error = loop {
            if let Err(error) = filler.write_all(&[b'x'; 1 << 20]) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    }

    /// Gives the space back.
    pub(crate) fn free(&self) {
        std::fs::remove_file(self.folder.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The folder cannot be removed before.
        let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
    }
}
