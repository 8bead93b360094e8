//! The page for browsers: its files, the face models that it fetches, and who may call this node from a browser.
//!
//! The files are read once, when the node starts, so that a request can name nothing else on the disk. Models are large and are read
//! when they are asked for, by the names that the roster's profiles list and no others. A browser lets another origin call this node
//! only where the operator's list says so (the Fetch standard's CORS protocol); requests carry no cookies, and none are set.
//!
//! **Trust**: whoever serves a page decides what it does. A node that cheats can serve another page: see SECURITY.md.
//! **Out of scope**: making the page (`web/`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};
use types::api::PageBody;
use types::roster::Roster;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::problem::Failure;
use crate::Error;
use crate::config::PageConfig;

/// Files of a page, and bytes of one of them.
const FILES: usize = 512;
const FILE_BYTES: u64 = 16 << 20;
/// Photographs for the guided tour, of one folder.
const SAMPLES: usize = 8;

const FOR_EVER: &str = "public, max-age=31536000, immutable";
const MISSING: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>No page here yet</title>\
    <h1>No page here yet</h1><p>This node has no page to show. In a checkout, run <code>./x web</code> and start it again; an operator \
    names the folder in <code>[page]</code> of the configuration. The API works: <a href=\"/v1/commons\">/v1/commons</a>.</p></html>\n";

/// What a browser gets from this node.
pub(crate) struct Page {
    /// By path below the root.
    files: BTreeMap<String, File>,
    /// By name.
    models: BTreeMap<String, PathBuf>,
    samples: BTreeMap<String, PathBuf>,
    origins: BTreeSet<String>,
    policy: HeaderValue,
    begin: PageBody,
    enabled: bool,
}

struct File {
    bytes: Arc<[u8]>,
    gzip: Option<Arc<[u8]>>,
    brotli: Option<Arc<[u8]>>,
    media_type: &'static str,
    tag: HeaderValue,
}

impl Page {
    /// Reads the page's files.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Config`].
    pub(crate) fn open(config: &PageConfig, roster: &Roster) -> Result<Self, Error> {
        let files = config.dir.as_deref().map(read_all).transpose()?.unwrap_or_default();
        let names = roster.profiles.iter().filter_map(|profile| profile.capture.as_ref()).flat_map(model_files);
        let models = match &config.models {
            Some(folder) => {
                names.map(|name| (name.clone(), folder.join(&name))).filter(|(_, path)| path.is_file()).collect()
            }
            None => BTreeMap::new(),
        };
        let samples = config.samples.as_deref().map(photographs).transpose()?.unwrap_or_default();
        let urls: Vec<String> = match config.urls.is_empty() {
            true => roster.nodes.iter().map(|node| node.url.trim_end_matches('/').to_owned()).collect(),
            false => config.urls.clone(),
        };
        let policy = format!(
            "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; \
             media-src 'self' blob:; worker-src 'self'; manifest-src 'self'; connect-src 'self' {}; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'",
            urls.join(" ")
        );
        let policy =
            HeaderValue::from_str(&policy).map_err(|_| Error::Config { what: "page.urls are not URLs".to_owned() })?;
        let begin = PageBody {
            roster: roster.to_toml()?,
            urls,
            models: models.keys().cloned().collect(),
            samples: samples.keys().cloned().collect(),
        };
        let enabled = config.dir.is_some() || config.bind.is_some();
        Ok(Self { files, models, samples, origins: config.origins.iter().cloned().collect(), policy, begin, enabled })
    }

    /// The origin of a request, if the operator lets it call.
    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        self.origins.contains(origin.to_str().ok()?).then(|| origin.clone())
    }

    fn serve(&self, path: &str, headers: &HeaderMap) -> Option<Response> {
        let name = path.trim_start_matches('/');
        let name = if name.is_empty() { "index.html" } else { name };
        let Some(file) = self.files.get(name) else {
            let missing = self.enabled && self.files.is_empty() && name == "index.html";
            return missing
                .then(|| (StatusCode::OK, self.headers("text/html; charset=utf-8", "no-store"), MISSING).into_response());
        };
        // Names of what the build puts into `assets` hold a hash of the content.
        let cache = if name.starts_with("assets/") { FOR_EVER } else { "no-cache" };
        let mut response = match headers.get(header::IF_NONE_MATCH) {
            Some(tag) if *tag == file.tag => StatusCode::NOT_MODIFIED.into_response(),
            _ => file.encoded(headers),
        };
        response.headers_mut().extend(self.headers(file.media_type, cache));
        response.headers_mut().insert(header::ETAG, file.tag.clone());
        Some(response)
    }

    fn headers(&self, media_type: &'static str, cache: &'static str) -> HeaderMap {
        let fixed: [(HeaderName, &str); 6] = [
            (header::CONTENT_TYPE, media_type),
            (header::CACHE_CONTROL, cache),
            (header::VARY, "accept-encoding"),
            (HeaderName::from_static("permissions-policy"), "camera=(self), microphone=(), geolocation=()"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
            (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        ];
        let mut headers: HeaderMap =
            fixed.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect();
        headers.insert(header::CONTENT_SECURITY_POLICY, self.policy.clone());
        headers
    }
}

impl File {
    /// The bytes in the best form that the browser takes.
    fn encoded(&self, headers: &HeaderMap) -> Response {
        let accepts = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let takes = |name: &str| accepts.split(',').any(|one| one.split(';').next().unwrap_or_default().trim() == name);
        let (bytes, encoding) = match (&self.brotli, &self.gzip) {
            (Some(brotli), _) if takes("br") => (brotli, Some("br")),
            (_, Some(gzip)) if takes("gzip") => (gzip, Some("gzip")),
            _ => (&self.bytes, None),
        };
        let mut response = Body::from(axum::body::Bytes::from_owner(bytes.clone())).into_response();
        if let Some(encoding) = encoding {
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        response
    }
}

/// The names of model files in a `[capture]` table: every string called `file`. What the table means is not this node's business.
fn model_files(table: &toml::Table) -> Vec<String> {
    let mut names = Vec::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => names.extend(model_files(inner)),
            toml::Value::String(name) if key == "file" && is_plain(name) => names.push(name.clone()),
            _ => {}
        }
    }
    names
}

/// A file name that names no other folder.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// The first few photographs of a folder and of the folders in it.
fn photographs(folder: &Path) -> Result<BTreeMap<String, PathBuf>, Error> {
    let mut found = BTreeMap::new();
    for (name, path) in entries(folder)? {
        if path.is_dir() {
            let inner = entries(&path)?.into_iter().map(|(inner, path)| (format!("{name}/{inner}"), path));
            found.extend(inner.filter(|(name, _)| media_type(name) == Some("image/jpeg")).take(SAMPLES));
        } else if media_type(&name) == Some("image/jpeg") {
            found.insert(name, path);
        }
    }
    Ok(found)
}

/// Names in a folder and where they lie, in order; only plain ones.
fn entries(folder: &Path) -> Result<BTreeMap<String, PathBuf>, Error> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        if let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|name| is_plain(name)) {
            found.insert(name.to_owned(), path.clone());
        }
    }
    Ok(found)
}

fn read_all(folder: &Path) -> Result<BTreeMap<String, File>, Error> {
    let mut raw = BTreeMap::new();
    collect(folder, "", &mut raw)?;
    let mut files = BTreeMap::new();
    for (name, bytes) in &raw {
        let Some(media_type) = media_type(name) else { continue };
        let packed = |suffix: &str| raw.get(&format!("{name}{suffix}")).cloned();
        let tag = format!("\"{}\"", hex::encode(Sha256::digest(bytes).get(..16).unwrap_or_default()));
        let tag = HeaderValue::from_str(&tag).map_err(|_| Error::Internal { what: "hexadecimal fits a header" })?;
        let file = File { bytes: bytes.clone(), gzip: packed(".gz"), brotli: packed(".br"), media_type, tag };
        files.insert(name.clone(), file);
    }
    Ok(files)
}

fn collect(folder: &Path, prefix: &str, into: &mut BTreeMap<String, Arc<[u8]>>) -> Result<(), Error> {
    for (name, path) in entries(folder)? {
        let name = format!("{prefix}{name}");
        if path.is_dir() {
            collect(&path, &format!("{name}/"), into)?;
            continue;
        }
        let size = std::fs::metadata(&path).map_err(Error::io(&path))?.len();
        if into.len() >= FILES || size > FILE_BYTES {
            return Err(Error::Config { what: format!("page.dir holds more than a page: {} is too much", path.display()) });
        }
        into.insert(name, std::fs::read(&path).map_err(Error::io(&path))?.into());
    }
    Ok(())
}

fn media_type(name: &str) -> Option<&'static str> {
    Some(match name.rsplit('.').next()? {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "wasm" => "application/wasm",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "txt" => "text/plain; charset=utf-8",
        _ => return None,
    })
}

/// The call with which a page begins.
pub(super) fn router() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(begin))
}

/// What a page needs to begin: who the three nodes are, and where a browser reaches them
#[utoipa::path(get, path = "/v1/page", tag = "commons",
    responses((status = 200, description = "The roster, and addresses", body = PageBody)))]
async fn begin(State(api): State<Arc<Api>>) -> Json<PageBody> {
    Json(api.page.begin.clone())
}

/// Whatever is no call: a file of the page, a model, a photograph, or nothing.
pub(super) async fn other(
    State(api): State<Arc<Api>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let nothing = || Failure::new("no-such-call", "there is no such call; GET /v1/openapi.json lists them all");
    if method != Method::GET && method != Method::HEAD {
        return Err(nothing());
    }
    let page = &api.page;
    let large = |name: &str, of: &BTreeMap<String, PathBuf>| of.get(name).cloned();
    let found = match uri.path().trim_start_matches('/').split_once('/') {
        Some(("models", name)) => large(name, &page.models).map(|path| (path, "application/octet-stream")),
        Some(("samples", name)) => large(name, &page.samples).map(|path| (path, "image/jpeg")),
        _ => None,
    };
    if let Some((path, media_type)) = found {
        let bytes = tokio::fs::read(&path).await.map_err(|source| Failure::from(Error::io(&path)(source)))?;
        return Ok((page.headers(media_type, FOR_EVER), bytes).into_response());
    }
    page.serve(uri.path(), &headers).ok_or_else(nothing)
}

/// Lets the origins of the operator's list call from a browser, and answers what browsers ask beforehand.
pub(super) async fn admit(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let origin = api.page.allowed(request.headers());
    let asks_first =
        request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match asks_first {
        true => StatusCode::NO_CONTENT.into_response(),
        false => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if asks_first {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type"));
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(config: &PageConfig) -> Page {
        let profiles = Vec::new();
        let (version, epochs) = (types::roster::VERSION, types::Epochs::DAILY);
        let roster = Roster {
            version,
            commons: "here".to_owned(),
            throw_away: true,
            epochs,
            nodes: Vec::new(),
            profiles,
            successions: Vec::new(),
            additions: Vec::new(),
        };
        Page::open(config, &roster).unwrap()
    }

    #[test]
    fn only_what_was_in_the_folder_at_the_start_is_served() {
        let folder = tempfile::tempdir().unwrap();
        let page_folder = folder.path().join("page");
        std::fs::create_dir_all(page_folder.join("assets")).unwrap();
        for (name, text) in [
            ("page/index.html", "<p>hello"),
            ("page/assets/a-1.js", "1"),
            ("page/assets/a-1.js.gz", "packed"),
            ("secret.html", "no"),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let page = page(&PageConfig { dir: Some(page_folder), ..PageConfig::default() });
        let get = |path: &str, accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_str(accept).unwrap());
            page.serve(path, &headers)
        };
        let index = get("/", "gzip").unwrap();
        assert_eq!(index.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
        let policy = index.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self' 'wasm-unsafe-eval'"), "{policy}");
        let script = get("/assets/a-1.js", "br, gzip").unwrap();
        assert_eq!(script.headers()[header::CONTENT_ENCODING], "gzip");
        assert_eq!(script.headers()[header::CACHE_CONTROL], FOR_EVER);
        assert!(!get("/assets/a-1.js", "identity").unwrap().headers().contains_key(header::CONTENT_ENCODING));
        for path in ["/assets/a-1.js.gz", "/../secret.html", "/assets/../../secret.html", "/%2e%2e/secret.html", "/nothing"]
        {
            assert!(get(path, "").is_none(), "{path}");
        }
        let tag = index.headers()[header::ETAG].clone();
        let again = page.serve("/index.html", &HeaderMap::from_iter([(header::IF_NONE_MATCH, tag)])).unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn other_origins_call_only_where_the_list_says_so() {
        let page = page(&PageConfig { origins: vec!["https://one.example".to_owned()], ..PageConfig::default() });
        let from =
            |origin: &'static str| page.allowed(&HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static(origin))]));
        assert_eq!(from("https://one.example").unwrap(), "https://one.example");
        for other in
            ["https://one.example.evil", "http://one.example", "https://one.example:444", "null", "https://ONE.example"]
        {
            assert!(from(other).is_none(), "{other}");
        }
        assert!(page.allowed(&HeaderMap::new()).is_none());
    }

    #[test]
    fn models_are_those_of_the_profiles() {
        let table: toml::Table = toml::from_str(
            "[detect]\nmodel = { file = \"a.onnx\", sha256 = \"00\" }\n[embed.model]\nfile = \"../b.onnx\"\n[x]\nfile = \".c\"",
        )
        .unwrap();
        assert_eq!(model_files(&table), ["a.onnx"]);
    }
}
