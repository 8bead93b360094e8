//! SD-JWT (RFC 9901) and SD-JWT VC: a signed token whose claims the holder shows one by one, bound to the holder's key.
//!
//! Issued flat: every claim about the person is a disclosure of its own at the top, and decoys fill the list of digests up to one
//! length, so that it does not tell how many there are. Read strictly: a disclosure that is not in the token, a name twice, a claim
//! that would replace a signed one, nested digests: all refused.
//!
//! **In scope**: values and their checks. **Out of scope**: status lists (`status`), who is issued to (`wallet`), keeping (`holder`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::jose::{JoseError, Jwk, SigningKey, Token, base64url, from_base64url, sha256};

/// `typ` of a credential and of a key binding.
pub const CREDENTIAL_TYP: &str = "dc+sd-jwt";
const BINDING_TYP: &str = "kb+jwt";
/// Digests in each credential that is issued here, decoys among them.
pub const DIGESTS: usize = 8;
/// Disclosures that are read, and bytes of the whole.
const DISCLOSURES: usize = 64;
const SD_JWT_BYTES: usize = 64 * 1024;
/// Seconds by which a holder's clock may be ahead.
const SKEW_S: u64 = 60;

/// Why a credential or a presentation was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SdJwtError {
    /// Not of the form.
    #[error("this is not an SD-JWT")]
    Malformed,
    /// Its token or key binding.
    #[error(transparent)]
    Token(#[from] JoseError),
    /// A disclosure that the issuer did not sign, or that says something twice.
    #[error("a disclosure is not of this credential, or says something twice: a claim was altered or added")]
    Disclosure,
    /// Not valid yet, or no more.
    #[error("this credential is not valid at this time")]
    Time,
    /// No proof by the holder's key, or for somebody else, another nonce, other claims, another time.
    #[error("the holder's proof does not fit: it is for another verifier, another request or another credential")]
    Binding,
    /// Lacks what was asked for.
    #[error("this credential has no `{0}`")]
    Lacks(String),
}

/// Issues a credential. `payload` is what everybody sees, `claims` what is shown one by one, `random` fresh 16 bytes at each call.
///
/// # Errors
/// [`SdJwtError::Token`].
pub fn issue(
    key: &SigningKey,
    mut payload: Map<String, Value>,
    claims: &[(String, Value)],
    mut random: impl FnMut() -> [u8; 16],
) -> Result<String, SdJwtError> {
    let mut digests: Vec<String> = Vec::new();
    let mut tail = String::from("~");
    for (name, value) in claims {
        let disclosure = base64url(json!([base64url(random()), name, value]).to_string());
        digests.push(digest(&disclosure));
        tail += &disclosure;
        tail.push('~');
    }
    while digests.len() < DIGESTS {
        digests.push(base64url(sha256([random(), random()].concat())));
    }
    // Sorted: the order says nothing.
    digests.sort();
    payload.insert("_sd".to_owned(), json!(digests));
    payload.insert("_sd_alg".to_owned(), json!("sha-256"));
    let header = json!({ "kid": key.public().thumbprint() });
    Ok(key.sign(CREDENTIAL_TYP, header, &Value::Object(payload))? + &tail)
}

fn digest(disclosure: &str) -> String {
    base64url(sha256(disclosure))
}

/// A credential, or a presentation of it, taken apart and not believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SdJwt {
    token: String,
    disclosures: Vec<Disclosure>,
    binding: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Disclosure {
    encoded: String,
    name: String,
    value: Value,
}

impl SdJwt {
    /// Takes it apart.
    ///
    /// # Errors
    /// [`SdJwtError::Malformed`], [`SdJwtError::Disclosure`].
    pub fn parse(text: &str) -> Result<Self, SdJwtError> {
        if text.len() > SD_JWT_BYTES {
            return Err(SdJwtError::Malformed);
        }
        let (token, rest) = text.split_once('~').ok_or(SdJwtError::Malformed)?;
        let (list, binding) = rest.rsplit_once('~').unwrap_or(("", rest));
        let parts: Vec<&str> = list.split('~').filter(|_| !list.is_empty()).collect();
        if parts.len() > DISCLOSURES {
            return Err(SdJwtError::Malformed);
        }
        let disclosures = parts.into_iter().map(Disclosure::parse).collect::<Result<_, _>>()?;
        let binding = (!binding.is_empty()).then(|| binding.to_owned());
        Ok(Self { token: token.to_owned(), disclosures, binding })
    }

    /// The claims that it can show.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.disclosures.iter().map(|disclosure| disclosure.name.as_str())
    }

    /// A claim's value, before it is believed: for the holder, who believed the credential when it came.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.disclosures.iter().find(|disclosure| disclosure.name == name).map(|disclosure| &disclosure.value)
    }

    /// The key that signed it, by name.
    ///
    /// # Errors
    /// [`SdJwtError::Token`], [`SdJwtError::Malformed`].
    pub fn key_name(&self) -> Result<String, SdJwtError> {
        let token = Token::parse(&self.token)?;
        token.header("kid").and_then(Value::as_str).map(str::to_owned).ok_or(SdJwtError::Malformed)
    }

    /// What everybody sees of it, before it is believed.
    ///
    /// # Errors
    /// [`SdJwtError::Token`].
    pub fn unverified(&self) -> Result<Map<String, Value>, SdJwtError> {
        Ok(Token::parse(&self.token)?.unverified().clone())
    }

    /// Shows it: these claims and no others, to `audience`, for `nonce`.
    ///
    /// # Errors
    /// [`SdJwtError::Lacks`], [`SdJwtError::Token`].
    pub fn present(
        &self,
        names: &[String],
        holder: &SigningKey,
        audience: &str,
        nonce: &str,
        now: u64,
    ) -> Result<String, SdJwtError> {
        if let Some(lacking) = names.iter().find(|name| self.value(name).is_none()) {
            return Err(SdJwtError::Lacks(lacking.clone()));
        }
        let shown = self.disclosures.iter().filter(|disclosure| names.contains(&disclosure.name));
        let text = shown.fold(format!("{}~", self.token), |text, disclosure| text + &disclosure.encoded + "~");
        let payload = json!({ "iat": now, "aud": audience, "nonce": nonce, "sd_hash": digest(&text) });
        Ok(text.clone() + &holder.sign(BINDING_TYP, json!({}), &payload)?)
    }

    /// Believes a credential: signed by `issuer`, valid now. Gives all claims, those disclosed among them.
    ///
    /// # Errors
    /// [`SdJwtError`].
    pub fn verify(&self, issuer: &Jwk, now: u64) -> Result<Map<String, Value>, SdJwtError> {
        let mut claims = Token::parse(&self.token)?.verify(CREDENTIAL_TYP, issuer)?;
        if claims.remove("_sd_alg").is_some_and(|name| name != "sha-256") {
            return Err(SdJwtError::Malformed);
        }
        let list = claims.remove("_sd").unwrap_or_else(|| json!([]));
        let list = list.as_array().ok_or(SdJwtError::Malformed)?;
        let mut signed = BTreeSet::new();
        for one in list {
            if !signed.insert(one.as_str().ok_or(SdJwtError::Malformed)?) {
                return Err(SdJwtError::Disclosure);
            }
        }
        if claims.values().any(has_digests) {
            return Err(SdJwtError::Malformed);
        }
        for Disclosure { encoded, name, value } in &self.disclosures {
            // Each digest serves one disclosure.
            if !signed.remove(digest(encoded).as_str()) || claims.contains_key(name) || has_digests(value) {
                return Err(SdJwtError::Disclosure);
            }
            claims.insert(name.clone(), value.clone());
        }
        let time = |name: &str| match claims.get(name) {
            None => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or(SdJwtError::Malformed),
        };
        let begins = time("nbf")?.max(time("iat")?).unwrap_or(0);
        if now.saturating_add(SKEW_S) < begins || time("exp")?.is_some_and(|end| now >= end) {
            return Err(SdJwtError::Time);
        }
        Ok(claims)
    }

    /// Believes a presentation: a credential of `issuer`, shown by its holder to `audience` for `nonce`, at most `age_s` seconds ago.
    ///
    /// # Errors
    /// [`SdJwtError`].
    pub fn verify_presentation(
        &self,
        issuer: &Jwk,
        audience: &str,
        nonce: &str,
        now: u64,
        age_s: u64,
    ) -> Result<Map<String, Value>, SdJwtError> {
        let claims = self.verify(issuer, now)?;
        let holder = claims.get("cnf").and_then(|cnf| cnf.get("jwk")).ok_or(SdJwtError::Binding)?;
        let binding = self.binding.as_deref().ok_or(SdJwtError::Binding)?;
        let binding = Token::parse(binding)?.verify(BINDING_TYP, &Jwk::from_json(holder)?)?;
        let text = |name: &str| binding.get(name).and_then(Value::as_str);
        let made = binding.get("iat").and_then(Value::as_u64).ok_or(SdJwtError::Binding)?;
        let shown = self.disclosures.iter().fold(format!("{}~", self.token), |text, one| text + &one.encoded + "~");
        let fits = text("aud") == Some(audience) && text("nonce") == Some(nonce) && text("sd_hash") == Some(&digest(&shown));
        let timely = made <= now.saturating_add(SKEW_S) && now <= made.saturating_add(age_s);
        if fits && timely { Ok(claims) } else { Err(SdJwtError::Binding) }
    }
}

impl Disclosure {
    fn parse(encoded: &str) -> Result<Self, SdJwtError> {
        let bytes = from_base64url(encoded).ok_or(SdJwtError::Malformed)?;
        let (_, name, value): (String, String, Value) = serde_json::from_slice(&bytes).map_err(|_| SdJwtError::Malformed)?;
        const SIGNED_ONLY: [&str; 9] = ["_sd", "...", "_sd_alg", "iss", "nbf", "exp", "cnf", "vct", "status"];
        if SIGNED_ONLY.contains(&name.as_str()) {
            return Err(SdJwtError::Disclosure);
        }
        Ok(Self { encoded: encoded.to_owned(), name, value })
    }
}

/// Are there digests of disclosures within? Ours are at the top only.
fn has_digests(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.contains_key("_sd") || map.contains_key("...") || map.values().any(has_digests),
        Value::Array(list) => list.iter().any(has_digests),
        _ => false,
    }
}

/// Claims by name, as `issue` takes them.
pub fn claims_of(map: &BTreeMap<String, Value>) -> Vec<(String, Value)> {
    map.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn key() -> SigningKey {
        SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap()
    }

    struct World {
        issuer: SigningKey,
        holder: SigningKey,
        text: String,
    }

    fn world() -> World {
        let (issuer, holder) = (key(), key());
        let payload = json!({ "iss": "https://id.example", "vct": "v", "iat": NOW - 10, "exp": NOW + 100,
            "cnf": { "jwk": holder.public().to_json() } });
        let claims = [("community".to_owned(), json!("river-valley")), ("age_band".to_owned(), json!("18-29"))];
        let mut count = 0;
        let random = || {
            count += 1;
            [count; 16]
        };
        let text = issue(&issuer, payload.as_object().unwrap().clone(), &claims, random).unwrap();
        World { issuer, holder, text }
    }

    #[test]
    fn only_what_is_shown_is_seen() {
        let world = world();
        let credential = SdJwt::parse(&world.text).unwrap();
        assert_eq!(credential.unverified().unwrap()["_sd"].as_array().unwrap().len(), DIGESTS);
        assert_eq!(credential.verify(world.issuer.public(), NOW).unwrap()["age_band"], "18-29");
        let shown = credential.present(&["age_band".to_owned()], &world.holder, "verifier", "n", NOW).unwrap();
        assert!(!shown.contains(&base64url("river")), "the other claim is not in it");
        let claims = SdJwt::parse(&shown).unwrap();
        let claims = claims.verify_presentation(world.issuer.public(), "verifier", "n", NOW + 5, 60).unwrap();
        assert_eq!((claims.get("age_band"), claims.get("community")), (Some(&json!("18-29")), None));
        let lacks = credential.present(&["role".to_owned()], &world.holder, "verifier", "n", NOW);
        assert_eq!(lacks, Err(SdJwtError::Lacks("role".to_owned())));
    }

    #[test]
    fn altered_added_or_doubled_disclosures_are_refused() {
        let world = world();
        let issuer = world.issuer.public();
        let parts: Vec<&str> = world.text.split('~').collect();
        let with = |disclosures: &[&str]| SdJwt::parse(&format!("{}~{}~", parts[0], disclosures.join("~")));
        let altered = base64url(json!(["AA", "age_band", "50+"]).to_string());
        let expect = |sd_jwt: SdJwt| assert_eq!(sd_jwt.verify(issuer, NOW), Err(SdJwtError::Disclosure));
        expect(with(&[parts[1], &altered]).unwrap());
        expect(with(&[parts[1], parts[1]]).unwrap());
        for name in ["iss", "exp", "_sd", "...", "cnf", "status"] {
            let forged = base64url(json!(["AA", name, 1]).to_string());
            assert_eq!(with(&[&forged]), Err(SdJwtError::Disclosure), "{name}");
        }
        for bad in ["", "x", "a.b.c", "a~b", &format!("{}~!~", parts[0]), &"~".repeat(80), &"x".repeat(70_000)] {
            let outcome = SdJwt::parse(bad).and_then(|sd_jwt| sd_jwt.verify(issuer, NOW));
            assert!(outcome.is_err(), "{bad:.20}");
        }
        let credential = SdJwt::parse(&world.text).unwrap();
        assert_eq!(credential.verify(issuer, NOW + 100), Err(SdJwtError::Time));
        assert_eq!(credential.verify(issuer, NOW - 100), Err(SdJwtError::Time));
        assert_eq!(credential.verify(key().public(), NOW), Err(SdJwtError::Token(JoseError::Signature)));
    }

    #[test]
    fn a_presentation_is_good_for_one_verifier_one_request_and_what_it_shows() {
        let world = world();
        let credential = SdJwt::parse(&world.text).unwrap();
        let names = ["age_band".to_owned()];
        let shown = credential.present(&names, &world.holder, "verifier", "n", NOW).unwrap();
        let check = |text: &str, audience: &str, nonce: &str, now: u64| {
            SdJwt::parse(text).unwrap().verify_presentation(world.issuer.public(), audience, nonce, now, 60).map(|_| ())
        };
        assert_eq!(check(&shown, "verifier", "n", NOW), Ok(()));
        assert_eq!(check(&shown, "other", "n", NOW), Err(SdJwtError::Binding));
        assert_eq!(check(&shown, "verifier", "m", NOW), Err(SdJwtError::Binding));
        assert_eq!(check(&shown, "verifier", "n", NOW + 61), Err(SdJwtError::Binding));
        assert_eq!(check(&shown, "verifier", "n", NOW - 90), Err(SdJwtError::Time));
        // Another's key, no key binding at all, and a binding moved to other disclosures.
        let stolen = credential.present(&names, &key(), "verifier", "n", NOW).unwrap();
        assert_eq!(check(&stolen, "verifier", "n", NOW), Err(SdJwtError::Token(JoseError::Signature)));
        assert_eq!(check(&world.text, "verifier", "n", NOW), Err(SdJwtError::Binding));
        let binding = shown.rsplit_once('~').unwrap().1;
        assert_eq!(check(&(world.text.clone() + binding), "verifier", "n", NOW), Err(SdJwtError::Binding));
    }
}
