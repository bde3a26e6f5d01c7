//! Making the socket file, where nothing is in the way.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixDatagram, UnixStream};

use super::{Socket, SocketKind, StreamError};

/// Why a socket cannot be listened on, before it is said of which.
pub(super) enum Refusal {
    Known(StreamError),
    System(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// Removes the socket that a killed process has left behind; nothing that is in use, and nothing else.
pub(super) fn clear(socket: &Socket) -> Result<(), Refusal> {
    let path = &socket.path;
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if !metadata.file_type().is_socket() {
        return Err(Refusal::Known(StreamError::NotASocket { path: path.clone() }));
    }
    // One that is bound and of the other kind refuses in another way.
    let answer = match socket.kind {
        SocketKind::Stream => UnixStream::connect(path).map(drop),
        SocketKind::Datagram => UnixDatagram::unbound().and_then(|socket| socket.connect(path)),
    };
    match answer {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(std::fs::remove_file(path)?),
        _ => Err(Refusal::Known(StreamError::Taken { path: path.clone() })),
    }
}

pub(super) fn permit(socket: &Socket) -> io::Result<()> {
    match socket.mode {
        Some(mode) => std::fs::set_permissions(&socket.path, std::fs::Permissions::from_mode(mode)),
        None => Ok(()),
    }
}
