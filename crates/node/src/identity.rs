//! Who this node is: its keys, created once by `init`, and the card that tells them to others.
//!
//! | file in the data directory | content | trusted? |
//! |---|---|---|
//! | `identity.key` | the five secret keys; readable by its owner only | yes: who reads it can sign as this node, also credentials, and open shares sealed to it; who changes it makes the node refuse to start, as its keys leave the roster |
//! | `card.toml` | the public keys and addresses, to put into the roster | no: it is written for people and never read again by the node |
//!
//! The keys are not encrypted: a node must start unattended, so a passphrase would lie beside them. Put the data directory on an
//! encrypted disk. Five keys for five purposes, so that none is used in two protocols: one Ed25519 key signs decisions (RFC 8032),
//! another the node's log and its cosignatures on others', X25519 opens shares (HPKE, RFC 9180), BLS12-381 signs
//! credentials (BBS), ECDSA P-256 speaks TLS, to peers and clients alike (browsers know no Ed25519 in TLS).

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use credential::IssuerKey;
use ed25519_dalek::SigningKey;
use rcgen::{CertificateParams, DnType, KeyPair, PublicKeyData};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use types::roster::{Roster, RosterNode};
use types::seal::SealKey;
use types::{Digest, NodeId, UnixSeconds, limits, sign};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::Error;

const KEY_FILE: &str = "identity.key";
const CARD_FILE: &str = "card.toml";
/// Version of both files.
const VERSION: u16 = 3;

/// The keys of one node.
#[derive(Debug)]
pub struct Identity {
    node: NodeId,
    signing: SigningKey,
    log: SigningKey,
    seal: SealKey,
    issuer: Arc<IssuerKey>,
    tls: TlsKey,
}

/// What the operator tells `init` about the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// 1, 2 or 3.
    pub node: NodeId,
    /// Who runs it, for people.
    pub operator: String,
    /// Base URL of its client API.
    pub url: String,
    /// `host:port` at which the other nodes reach it.
    pub peer_address: String,
}

/// The public face of a node as a file: what one operator sends to the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Format version.
    pub version: u16,
    /// The entry for the roster.
    pub node: RosterNode,
}

/// A TLS key pair (ECDSA P-256, PKCS #8 in PEM).
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct TlsKey(String);

/// `identity.key`.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    version: u16,
    node: u8,
    signing_key: String,
    log_key: String,
    seal_key: String,
    issuer_key: String,
    tls_key: String,
}

impl Identity {
    /// Makes fresh keys for node `node` in `dir`, with a card. `dir` must exist and hold no keys yet.
    ///
    /// # Errors
    /// [`Error::StoreExists`], [`Error::Io`], [`Error::Random`], [`Error::Config`] for a fact that cannot be right.
    pub fn create(dir: &Path, facts: &Facts) -> Result<(Self, Card), Error> {
        facts.check()?;
        if dir.join(KEY_FILE).exists() || dir.join(CARD_FILE).exists() {
            return Err(Error::StoreExists { path: dir.to_owned() });
        }
        let issuer = random()?;
        let identity = Self {
            node: facts.node,
            signing: SigningKey::from_bytes(&*random()?),
            log: SigningKey::from_bytes(&*random()?),
            seal: SealKey::from_random(&*random()?),
            issuer: Arc::new(IssuerKey::from_material(*issuer)),
            tls: TlsKey::generate()?,
        };
        let card = Card { version: VERSION, node: identity.roster_node(facts)? };
        let hex = |bytes: &[u8; 32]| hex::encode(bytes);
        let keys = KeyFile {
            version: VERSION,
            node: facts.node.number(),
            signing_key: hex(&Zeroizing::new(identity.signing.to_bytes())),
            log_key: hex(&Zeroizing::new(identity.log.to_bytes())),
            seal_key: hex(&Zeroizing::new(identity.seal.to_bytes())),
            issuer_key: hex(&issuer),
            tls_key: identity.tls.0.clone(),
        };
        let text = toml::to_string(&keys).map_err(|_| Error::Internal { what: "keys can be written as TOML" })?;
        let text = Zeroizing::new(text);
        write_new(&dir.join(CARD_FILE), card.to_toml()?.as_bytes(), 0o644)?;
        write_new(&dir.join(KEY_FILE), text.as_bytes(), 0o600)?;
        File::open(dir).and_then(|d| d.sync_all()).map_err(Error::io(dir))?;
        Ok((identity, card))
    }

    /// Reads the keys in `dir`.
    ///
    /// # Errors
    /// [`Error::NoStore`], [`Error::NewerStore`], [`Error::Exposed`] when others may read them, [`Error::Damaged`], [`Error::Io`].
    pub fn load(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(KEY_FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => Zeroizing::new(text),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(Error::NoStore { path: dir.to_owned() }),
            Err(e) => return Err(Error::Io { path, source: e }),
        };
        refuse_exposed(&path)?;
        let damaged = |what: &str| Error::Damaged { path: path.clone(), what: what.to_owned() };
        #[derive(Deserialize)]
        struct Header {
            version: u16,
        }
        // The parser's own message could quote a key.
        let header: Header = toml::from_str(&text).map_err(|_| damaged("not a key file"))?;
        if header.version > VERSION {
            return Err(Error::NewerStore { path, found: header.version, known: VERSION });
        }
        if header.version < VERSION {
            return Err(Error::OlderStore { path, found: header.version, known: VERSION });
        }
        let keys: KeyFile = toml::from_str(&text).map_err(|_| damaged("not a key file"))?;
        let bytes = |text: &str, what: &str| {
            let mut bytes = Zeroizing::new([0; 32]);
            hex::decode_to_slice(text, &mut bytes[..]).map_err(|_| damaged(what))?;
            Ok::<_, Error>(bytes)
        };
        let tls = TlsKey(keys.tls_key.clone());
        tls.pair().map_err(|_| damaged("its TLS key is not one"))?;
        Ok(Self {
            node: NodeId::new(keys.node).map_err(|_| damaged("its node number is not 1, 2 or 3"))?,
            signing: SigningKey::from_bytes(&*bytes(&keys.signing_key, "its signing key is not one")?),
            log: SigningKey::from_bytes(&*bytes(&keys.log_key, "its log key is not one")?),
            seal: SealKey::from_bytes(*bytes(&keys.seal_key, "its seal key is not one")?),
            issuer: Arc::new(IssuerKey::from_material(*bytes(&keys.issuer_key, "its issuer key is not one")?)),
            tls,
        })
    }

    /// Whether the roster lists exactly these keys for this node.
    ///
    /// # Errors
    /// [`Error::NotInRoster`], naming what differs.
    pub fn check_roster(&self, roster: &Roster) -> Result<(), Error> {
        let wrong = |what: &'static str| Err(Error::NotInRoster { node: self.node, what });
        let Some(entry) = roster.node(self.node) else { return wrong("no entry") };
        if entry.signing_key != sign::public_key(&self.signing) {
            return wrong("another signing_key");
        }
        if entry.log_key != sign::public_key(&self.log) {
            return wrong("another log_key");
        }
        if entry.seal_key != Digest(self.seal.public()?) {
            return wrong("another seal_key");
        }
        if entry.issuer_key != self.issuer.public() {
            return wrong("another issuer_key");
        }
        if entry.tls_key != self.tls.digest()? {
            return wrong("another tls_key");
        }
        Ok(())
    }

    /// Which node.
    pub fn node(&self) -> NodeId {
        self.node
    }
    /// Signs decisions and statements.
    pub fn signing_key(&self) -> &SigningKey {
        &self.signing
    }
    /// Signs checkpoints and cosignatures.
    pub fn log_key(&self) -> &SigningKey {
        &self.log
    }
    /// Opens shares.
    pub fn seal_key(&self) -> &SealKey {
        &self.seal
    }
    /// Signs credentials.
    pub fn issuer_key(&self) -> &Arc<IssuerKey> {
        &self.issuer
    }
    /// Speaks TLS.
    pub fn tls(&self) -> &TlsKey {
        &self.tls
    }

    fn roster_node(&self, facts: &Facts) -> Result<RosterNode, Error> {
        Ok(RosterNode {
            id: self.node,
            operator: facts.operator.clone(),
            url: facts.url.clone(),
            peer_address: facts.peer_address.clone(),
            signing_key: sign::public_key(&self.signing),
            log_key: sign::public_key(&self.log),
            seal_key: Digest(self.seal.public()?),
            issuer_key: self.issuer.public(),
            tls_key: self.tls.digest()?,
        })
    }
}

impl Facts {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |what: String| Err(Error::Config { what });
        let printable = |text: &str| !text.is_empty() && text.len() <= 200 && !text.chars().any(char::is_control);
        if !printable(&self.operator) {
            return wrong("name the operator in 1 to 200 characters, such as `--operator \"Red Cross Geneva\"`".to_owned());
        }
        let rest = self.url.strip_prefix("https://").or_else(|| self.url.strip_prefix("http://"));
        let host = rest.map(|r| r.trim_end_matches('/')).filter(|r| printable(r) && !r.contains(['/', ' ', '?', '#', '@']));
        let Some(host) = host else {
            return wrong(format!("`{}` is not a base URL; write for example https://one.example:8443", self.url));
        };
        let loopback = ["127.0.0.1", "localhost", "[::1]"].iter().any(|l| host == *l || host.starts_with(&format!("{l}:")));
        if self.url.starts_with("http://") && !loopback {
            return wrong(format!("`{}` would send requests in the clear; use https://", self.url));
        }
        let port = self.peer_address.rsplit_once(':').filter(|(host, _)| printable(host));
        if !port.is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|p| p > 0)) {
            return wrong(format!("`{}` is not host:port; write for example one.example:9443", self.peer_address));
        }
        Ok(())
    }
}

impl Card {
    /// The file's text.
    ///
    /// # Errors
    /// [`Error::Internal`] when a value cannot be written as TOML: never.
    pub fn to_toml(&self) -> Result<String, Error> {
        let text = toml::to_string(self).map_err(|_| Error::Internal { what: "a card can be written as TOML" })?;
        Ok(format!(
            "# Public card of a Trust Commons node. Send it to the operators of the two others; it holds no secret.\n{text}"
        ))
    }

    /// Reads a card file.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::NewerStore`], [`Error::Io`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = read_small(path)?;
        let wrong =
            |e: toml::de::Error| Error::Config { what: format!("{} is not a node card: {}", path.display(), e.message()) };
        let card: Self = toml::from_str(&text).map_err(wrong)?;
        if card.version < VERSION {
            return Err(Error::OlderStore { path: path.to_owned(), found: card.version, known: VERSION });
        }
        if card.version > VERSION {
            return Err(Error::NewerStore { path: path.to_owned(), found: card.version, known: VERSION });
        }
        Ok(card)
    }
}

impl TlsKey {
    fn generate() -> Result<Self, Error> {
        KeyPair::generate().map(|pair| Self(pair.serialize_pem())).map_err(|_| Error::Random)
    }

    fn pair(&self) -> Result<KeyPair, Error> {
        KeyPair::from_pem(&self.0).map_err(|_| Error::Internal { what: "the TLS key was checked when it was read" })
    }

    /// SHA-256 over the DER `SubjectPublicKeyInfo`, as in the roster.
    ///
    /// # Errors
    /// [`Error::Internal`] when this is no key: never after [`Identity::load`].
    pub fn digest(&self) -> Result<Digest, Error> {
        Ok(spki_digest(&self.pair()?.subject_public_key_info()))
    }

    /// A self-signed certificate for `name` (a host name or an IP address) with its key. Those who pin the key do not look at
    /// the name.
    pub(crate) fn certificate(&self, name: &str) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), Error> {
        let internal = |_| Error::Internal { what: "a self-signed certificate can be made" };
        let pair = self.pair()?;
        let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(internal)?;
        params.distinguished_name.push(DnType::CommonName, "Trust Commons node");
        let certificate = params.self_signed(&pair).map_err(internal)?;
        Ok((certificate.der().clone(), PrivateKeyDer::from(PrivatePkcs8KeyDer::from(pair.serialize_der()))))
    }
}

impl std::fmt::Debug for TlsKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsKey(<redacted>)")
    }
}

pub(crate) fn spki_digest(der: &[u8]) -> Digest {
    Digest(Sha256::digest(der).into())
}

/// The system's clock.
pub(crate) fn unix_now() -> UnixSeconds {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Reads a text file of a size that configuration may have.
pub(crate) fn read_small(path: &Path) -> Result<String, Error> {
    let size = fs::metadata(path).map_err(Error::io(path))?.len();
    if size > limits::CONFIG_FILE_BYTES as u64 {
        return Err(Error::Config { what: format!("{} has {size} bytes; is it the right file?", path.display()) });
    }
    fs::read_to_string(path).map_err(Error::io(path))
}

/// Creates `dir` for the owner only, with its parents; an existing one must be empty.
///
/// # Errors
/// [`Error::StoreExists`] when something is in it, [`Error::Io`].
pub fn create_data_dir(dir: &Path) -> Result<(), Error> {
    fs::create_dir_all(dir).map_err(Error::io(dir))?;
    if fs::read_dir(dir).map_err(Error::io(dir))?.next().is_some() {
        return Err(Error::StoreExists { path: dir.to_owned() });
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(Error::io(dir))?;
    }
    Ok(())
}

fn random() -> Result<Zeroizing<[u8; 32]>, Error> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut bytes[..]).map_err(|_| Error::Random)?;
    Ok(bytes)
}

fn write_new(path: &PathBuf, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options.open(path).map_err(Error::io(path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::io(path))
}

/// Refuses a secret file that its group or the world may read.
pub(crate) fn refuse_exposed(path: &Path) -> Result<(), Error> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(path).map_err(Error::io(path))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(Error::Exposed { path: path.to_owned() });
        }
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            node: NodeId::ALL[1],
            operator: "Test".to_owned(),
            url: "https://two.example:8443".to_owned(),
            peer_address: "two.example:9443".to_owned(),
        }
    }

    #[test]
    fn keys_come_back_and_are_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let (made, card) = Identity::create(dir.path(), &facts()).unwrap();
        let read = Identity::load(dir.path()).unwrap();
        assert_eq!(read.roster_node(&facts()).unwrap(), card.node);
        assert_eq!(made.node(), read.node());
        assert_eq!(Card::read(&dir.path().join(CARD_FILE)).unwrap(), card);
        assert!(matches!(Identity::create(dir.path(), &facts()), Err(Error::StoreExists { .. })));
        assert!(matches!(create_data_dir(dir.path()), Err(Error::StoreExists { .. })));
        assert!(!format!("{read:?}").contains(&hex::encode(read.signing.to_bytes())));
    }

    #[cfg(unix)]
    #[test]
    fn keys_that_others_may_read_are_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        Identity::create(dir.path(), &facts()).unwrap();
        let path = dir.path().join(KEY_FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Identity::load(dir.path()), Err(Error::Exposed { .. })));
    }

    #[test]
    fn missing_newer_and_damaged_key_files_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Identity::load(dir.path()), Err(Error::NoStore { .. })));
        Identity::create(dir.path(), &facts()).unwrap();
        let path = dir.path().join(KEY_FILE);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("version = 3", "version = 4\nnew_field = 3")).unwrap();
        assert!(matches!(Identity::load(dir.path()), Err(Error::NewerStore { found: 4, known: 3, .. })));
        fs::write(&path, text.replace("version = 3", "version = 2")).unwrap();
        assert!(matches!(Identity::load(dir.path()), Err(Error::OlderStore { found: 2, known: 3, .. })));
        fs::write(&path, text.replace("seal_key = \"", "seal_key = \"zz")).unwrap();
        assert!(matches!(Identity::load(dir.path()), Err(Error::Damaged { .. })));
        fs::write(&path, &text[..40]).unwrap();
        assert!(matches!(Identity::load(dir.path()), Err(Error::Damaged { .. })));
    }

    #[test]
    fn facts_that_cannot_be_right_are_refused() {
        let bad = |change: fn(&mut Facts)| {
            let mut facts = facts();
            change(&mut facts);
            matches!(facts.check(), Err(Error::Config { .. }))
        };
        assert!(facts().check().is_ok());
        assert!(bad(|f| f.operator.clear()));
        assert!(bad(|f| f.url = "http://two.example".to_owned()));
        assert!(bad(|f| f.url = "http://localhost.evil.example".to_owned()));
        assert!(bad(|f| f.url = "two.example".to_owned()));
        assert!(bad(|f| f.peer_address = "two.example".to_owned()));
        assert!(bad(|f| f.peer_address = "two.example:0".to_owned()));
        assert!(!bad(|f| f.url = "http://127.0.0.1:8080".to_owned()));
    }
}
