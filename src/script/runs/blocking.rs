//! Work that waits for the disk, off the threads that serve everybody.

use tokio::task::spawn_blocking;

use super::RunError;

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RunError> + Send + 'static,
) -> Result<T, RunError> {
    spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(RunError::Disk(std::io::Error::other(error))))
}
