//! Our certificate for HTTP, which can be read again while connections stand.

use std::path::Path;
use std::sync::{Arc, RwLock};

use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

use crate::config;
use crate::runtime::transport::tls::{TlsError, server_alone};

/// Certificate and key, ready for use.
#[derive(Debug)]
pub struct HttpTls {
    files: config::http::HttpTls,
    server: RwLock<Arc<ServerConfig>>,
}

impl HttpTls {
    /// Reads the files and tries whether they belong together; blocks.
    pub fn load(files: &config::http::HttpTls) -> Result<Self, TlsError> {
        let server = RwLock::new(read(files)?);
        Ok(Self { files: files.clone(), server })
    }

    /// Reads the files again, for connections from now on; those of before stay in use where these are of no use.
    pub fn reload(&self) -> Result<(), TlsError> {
        let server = read(&self.files)?;
        *self.server.write().expect("nothing panics while it holds this lock") = server;
        Ok(())
    }

    /// The PEM file that our certificate is in.
    pub fn certificate(&self) -> &Path {
        &self.files.certificate
    }

    /// The server's side of the next handshake.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let server = self.server.read().expect("nothing panics while it holds this lock");
        TlsAcceptor::from(Arc::clone(&server))
    }
}

fn read(files: &config::http::HttpTls) -> Result<Arc<ServerConfig>, TlsError> {
    let mut server = server_alone(&files.certificate, &files.key)?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(server))
}
