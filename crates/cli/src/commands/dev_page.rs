//! The page of `commons dev`: found, and set up on all three nodes.
//!
//! Browsers refuse the nodes' own TLS keys, so each node serves browsers on a port of its own over plain HTTP, on this machine only. The
//! page comes from any of the three and calls all three.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use node::run::Loopback;

use crate::args::Dev;
use crate::assets;
use crate::failure::Failure;

/// First of the three ports where nothing else is asked for and they are free: browsers keep a member's key by address, so it should
/// stay the same.
const PORT: u16 = 7480;

/// Opens three listeners and configures the nodes. `port_base` is the first of six ports of the nodes themselves.
pub(crate) fn set_up(args: &Dev, commons: &mut Loopback) -> Result<(), Failure> {
    let first = match args.port_base {
        Some(base) => base.checked_add(6),
        None => Some(PORT),
    };
    let mut listeners = Vec::new();
    for (offset, _) in (0u16..).zip(&commons.nodes) {
        listeners.push(listen(first.and_then(|first| first.checked_add(offset)))?);
    }
    let addresses: Vec<SocketAddr> = listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
    let urls: Vec<String> = addresses.iter().map(|address| format!("http://{address}")).collect();
    // Under the machine's name as well: a passkey belongs to a name, never to a bare address.
    let named = addresses.iter().map(|address| format!("http://localhost:{}", address.port()));
    let origins: Vec<String> = urls.iter().cloned().chain(named).collect();
    let folder = folder(args.page.as_deref())?;
    let assets = assets::folder().ok();
    for ((config, own), (listener, address)) in commons.nodes.iter_mut().zip(listeners.into_iter().zip(addresses)) {
        config.page.bind = Some(address);
        config.page.dir.clone_from(&folder);
        config.page.models = assets.as_ref().map(|assets| assets.join("models"));
        config.page.samples = assets.as_ref().map(|assets| assets.join("faces/portraits")).filter(|path| path.is_dir());
        config.page.origins.clone_from(&origins);
        config.page.urls.clone_from(&urls);
        own.page = Some(listener);
    }
    Ok(())
}

/// The port asked for, or any free one.
fn listen(port: Option<u16>) -> Result<TcpListener, Failure> {
    let at = |port: u16| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let listener = port.and_then(|port| at(port).ok()).map_or_else(|| at(0), Ok);
    listener.map_err(|_| Failure::input("this machine has no free port", "close other programs and try again"))
}

/// The folder that was named; else what `./x web` made, seen from the program or from where it was started.
fn folder(named: Option<&Path>) -> Result<Option<PathBuf>, Failure> {
    if let Some(named) = named {
        return match named.join("index.html").is_file() {
            true => Ok(Some(named.to_owned())),
            false => {
                Err(Failure::input("there is no page in this folder", "make one with `./x web`").about(named.display()))
            }
        };
    }
    let program = std::env::current_exe().ok();
    let checkout = program.as_deref().and_then(Path::parent).map(|folder| folder.join("../../web/dist"));
    let candidates = checkout.into_iter().chain([PathBuf::from("web/dist")]);
    Ok(candidates.into_iter().find(|folder| folder.join("index.html").is_file()))
}
