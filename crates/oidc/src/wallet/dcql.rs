//! What a verifier asks for, in the Digital Credentials Query Language (OpenID4VP 1.0 section 6): the part of it that one flat
//! credential needs. A query that asks for more is refused, not half answered.

use serde_json::{Map, Value, json};

use super::FORMAT;

/// Claims that one query may name.
const CLAIMS: usize = 32;

/// One credential, and which claims of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The verifier's name for it.
    pub id: String,
    /// Types that are accepted.
    pub vct_values: Vec<String>,
    /// Claims, each with the values that are accepted; any, if there are none.
    pub claims: Vec<(String, Vec<Value>)>,
}

impl Query {
    /// As `dcql_query`.
    pub fn to_json(&self) -> Value {
        let claims = self.claims.iter().map(|(name, values)| {
            let mut claim = json!({ "path": [name] });
            if let (Value::Object(claim), false) = (&mut claim, values.is_empty()) {
                claim.insert("values".to_owned(), json!(values));
            }
            claim
        });
        let mut credential = json!({ "id": self.id, "format": FORMAT, "meta": { "vct_values": self.vct_values } });
        if let (Value::Object(credential), false) = (&mut credential, self.claims.is_empty()) {
            credential.insert("claims".to_owned(), claims.collect());
        }
        json!({ "credentials": [credential] })
    }

    /// From `dcql_query`; nothing if it asks for what cannot be answered here.
    pub fn from_json(value: &Value) -> Option<Self> {
        let only = |value: &Value, known: &[&str]| -> Option<Map<String, Value>> {
            value.as_object().filter(|map| map.keys().all(|key| known.contains(&key.as_str()))).cloned()
        };
        let query = only(value, &["credentials"])?;
        let [credential] = query.get("credentials")?.as_array()?.as_slice() else { return None };
        let credential =
            only(credential, &["id", "format", "meta", "claims", "require_cryptographic_holder_binding", "multiple"])?;
        let flag = |name: &str, default: bool| credential.get(name).map_or(Some(default), Value::as_bool);
        let fits = credential.get("format")? == FORMAT
            && flag("require_cryptographic_holder_binding", true)?
            && !flag("multiple", false)?;
        let texts = |value: &Value| -> Option<Vec<String>> {
            value.as_array()?.iter().map(|one| one.as_str().map(str::to_owned)).collect()
        };
        let vct_values = texts(credential.get("meta")?.get("vct_values")?)?;
        let claims: Option<Vec<_>> = match credential.get("claims") {
            None => Some(Vec::new()),
            Some(list) => list.as_array()?.iter().map(|one| claim(&only(one, &["id", "path", "values"])?)).collect(),
        };
        let claims = claims.filter(|claims| claims.len() <= CLAIMS)?;
        fits.then_some(Self { id: credential.get("id")?.as_str()?.to_owned(), vct_values, claims })
    }

    /// Whether a claim's value is what is asked for.
    pub fn accepts(values: &[Value], value: &Value) -> bool {
        values.is_empty() || values.contains(value)
    }
}

fn claim(claim: &Map<String, Value>) -> Option<(String, Vec<Value>)> {
    let [name] = claim.get("path")?.as_array()?.as_slice() else { return None };
    let values = claim.get("values").map_or(Some(Vec::new()), |values| values.as_array().cloned())?;
    Some((name.as_str()?.to_owned(), values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_as_written_and_never_half() {
        let query = Query {
            id: "membership".to_owned(),
            vct_values: vec!["v".to_owned()],
            claims: vec![("community".to_owned(), vec![]), ("age_band".to_owned(), vec![json!("18-29")])],
        };
        assert_eq!(Query::from_json(&query.to_json()), Some(query.clone()));
        let credential = query.to_json()["credentials"][0].clone();
        let with = |name: &str, value: Value| {
            let mut credential = credential.clone();
            credential[name] = value;
            json!({ "credentials": [credential] })
        };
        for beyond in [
            json!({}),
            json!({ "credentials": [] }),
            json!({ "credentials": [credential, credential] }),
            json!({ "credentials": [credential], "credential_sets": [] }),
            with("format", json!("mso_mdoc")),
            with("claim_sets", json!([["a"]])),
            with("multiple", json!(true)),
            with("trusted_authorities", json!([])),
            with("require_cryptographic_holder_binding", json!(false)),
            with("claims", json!([{ "path": ["address", "street"] }])),
            with("claims", json!([{ "path": [null] }])),
        ] {
            assert_eq!(Query::from_json(&beyond), None, "{beyond}");
        }
    }
}
