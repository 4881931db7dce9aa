//! Helper → builder: a kind, a 32-bit little-endian length, so many bytes.

use std::io::{self, Read, Write};

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Stdout = 1,
    Stderr = 2,
    /// The status, as text.
    Exit = 3,
    /// A failure, as JSON.
    Failure = 4,
}

pub(super) fn send(to: &mut impl Write, kind: Kind, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    let mut message = Vec::with_capacity(bytes.len() + 5);
    message.push(kind as u8);
    message.extend_from_slice(&length.to_le_bytes());
    message.extend_from_slice(bytes);
    to.write_all(&message)?;
    to.flush()
}

pub(super) fn recv(from: &mut impl Read) -> io::Result<(Kind, Vec<u8>)> {
    let mut head = [0u8; 5];
    from.read_exact(&mut head)?;
    let kind = match head[0] {
        1 => Kind::Stdout,
        2 => Kind::Stderr,
        3 => Kind::Exit,
        4 => Kind::Failure,
        other => return Err(io::Error::other(format!("unknown message kind {other}"))),
    };
    let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
    let mut bytes = vec![0; length as usize];
    from.read_exact(&mut bytes)?;
    Ok((kind, bytes))
}
