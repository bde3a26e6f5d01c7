//! A shipper that follows the output: it takes whole lines, each once, and nobody may take one back.

use std::collections::HashSet;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use serde_json::Value;

use super::name_of;

pub(crate) struct Shipper {
    output: PathBuf,
    shipped: Vec<u8>,
    /// What the records call themselves that were shipped.
    names: HashSet<String>,
}

impl Shipper {
    pub(crate) fn new(output: PathBuf) -> Self {
        Self { output, shipped: Vec::new(), names: HashSet::new() }
    }

    /// Takes the lines that are new. Gives how many bytes that was.
    pub(crate) fn look(&mut self) -> usize {
        let mut file = match File::open(&self.output) {
            Err(error) if error.kind() == ErrorKind::NotFound => return 0,
            opened => opened.unwrap(),
        };
        let known = self.shipped.len();
        file.seek(SeekFrom::Start(known as u64)).unwrap();
        file.read_to_end(&mut self.shipped).unwrap();
        let whole = self.shipped.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.shipped.truncate(whole.max(known));
        for line in self.shipped[known..].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.names.insert(name_of(&serde_json::from_slice(line).unwrap()));
        }
        self.shipped.len() - known
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    pub(crate) fn names(&self) -> &HashSet<String> {
        &self.names
    }

    /// Everything, when certsift has ended: the file holds whole lines, and those that were shipped as they were.
    pub(crate) fn records(&mut self) -> Vec<Value> {
        self.look();
        let output = std::fs::read(&self.output).unwrap_or_default();
        assert!(output == self.shipped, "lines that were shipped have changed, or the last one is not whole");
        super::records(&output)
    }
}
