//! Pseudo-terminals from the container's own devpts.

use std::ffi::CStr;
use std::io::{IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::error::{ChildError, read_status};
use crate::process::WinSize;
use crate::sys::{self, Result, sys};
use crate::target;

/// Opens a terminal, makes it the process' controlling one and standard streams (and /dev/console), and sends the
/// master over `socket`. Runs in the child.
pub(crate) fn attach(size: WinSize, socket: i32, uid: u32, container: bool) -> Result {
    let master = sys::open(c"/dev/pts/ptmx", libc::O_RDWR | libc::O_NOCTTY, 0)?;
    let unlock = 0i32;
    sys!(SYS_ioctl, master, libc::TIOCSPTLCK, std::ptr::from_ref(&unlock))?;
    let slave = sys!(SYS_ioctl, master, libc::TIOCGPTPEER, libc::O_RDWR | libc::O_NOCTTY)? as i32;
    let size = libc::winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    sys!(SYS_ioctl, master, libc::TIOCSWINSZ, std::ptr::from_ref(&size))?;
    if uid != 0 {
        const KEEP_GROUP: usize = usize::MAX;
        sys!(SYS_fchown, slave, uid, KEEP_GROUP)?;
    }
    if container {
        bind_console(master)?;
    }
    sys!(SYS_ioctl, slave, libc::TIOCSCTTY, 0)?;
    for number in 0..3 {
        sys!(SYS_dup3, slave, number, 0)?;
    }
    send(socket, master)?;
    sys::close(master);
    sys::close(slave);
    Ok(())
}

/// Shows the terminal as /dev/console, too.
fn bind_console(master: i32) -> Result {
    let mut number = 0u32;
    sys!(SYS_ioctl, master, libc::TIOCGPTN, std::ptr::from_mut(&mut number))?;
    let mut path = [0u8; 32];
    path[..9].copy_from_slice(b"/dev/pts/");
    let (mut at, mut divisor) = (9, 1_000_000_000);
    while divisor > 0 {
        let digit = (number / divisor % 10) as u8;
        if digit > 0 || at > 9 || divisor == 1 {
            path[at] = b'0' + digit;
            at += 1;
        }
        divisor /= 10;
    }
    let path = CStr::from_bytes_until_nul(&path).map_err(|_| libc::EINVAL)?;
    let place = target::open_or_make(c"/dev/console", false)?;
    let mount = sys::open_tree(path, false)?;
    sys::move_mount(mount, place)?;
    sys::close(mount);
    sys::close(place);
    Ok(())
}

/// unix(7), SCM_RIGHTS, in a buffer on the stack.
fn send(socket: i32, fd: i32) -> Result {
    #[repr(C, align(8))]
    struct Control {
        length: usize,
        level: i32,
        kind: i32,
        fd: i32,
        padding: i32,
    }
    let control = Control { length: 20, level: libc::SOL_SOCKET, kind: libc::SCM_RIGHTS, fd, padding: 0 };
    let mut byte = 0u8;
    let mut data = libc::iovec { iov_base: std::ptr::from_mut(&mut byte).cast(), iov_len: 1 };
    // SAFETY: msghdr is plain data (musl's has padding fields that can't be named), for which all zeroes is a value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &mut data;
    message.msg_iovlen = 1;
    message.msg_control = std::ptr::from_ref(&control).cast_mut().cast();
    message.msg_controllen = size_of::<Control>() as _;
    sys!(SYS_sendmsg, socket, std::ptr::from_ref(&message), libc::MSG_NOSIGNAL).map(drop)
}

/// Receives the master in the caller. `None`: the child failed before.
pub(crate) fn receive(socket: impl AsFd) -> std::io::Result<Option<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0u8];
    loop {
        match recvmsg(&socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(_) => break,
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    }))
}

/// Reads what the child had to say, to its end.
pub(crate) fn last_words(status: &OwnedFd) -> std::io::Result<Option<ChildError>> {
    let mut bytes = Vec::new();
    std::fs::File::from(status.try_clone()?).read_to_end(&mut bytes)?;
    Ok(read_status(&bytes))
}
