//! Lets blocking code read what arrives asynchronously.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use tokio::sync::mpsc;

/// Pieces that may wait for the reader.
const PIECES: usize = 16;

/// Gives pieces to a reader; an error among them is an error of the reading.
pub(super) type Sender = mpsc::Sender<io::Result<Bytes>>;

/// The reader. It ends when the sender is dropped.
pub(super) struct Reader {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

/// A reader and what fills it. The reader must not be read on an async worker.
pub(super) fn channel() -> (Sender, Reader) {
    let (sender, receiver) = mpsc::channel(PIECES);
    let piece = Bytes::new();
    (sender, Reader { receiver, piece })
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let count = self.piece.len().min(buffer.len());
        self.piece.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
