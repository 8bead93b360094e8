//! Sign-ins that must fail, each with its own answer, and nothing changed: the honest sign-in after it works. The provider runs in
//! this process, so that its clock can be moved.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use axum::http::{StatusCode, header};
use base64::Engine;
use credential::{Context, Envelope, Kind, Presentation, ProofRequest};
use oidc::jose::{Jwk, Token};
use serde_json::Value;
use support::{Browser, Commons, House, ISSUER, Member, SECRET, SHOP, VERIFIER, path_of, query};
use types::NodeId;

const CLINIC: &str = "https://clinic.example/in";

/// A waiting sign-in at the shop: browser, the device's address and its request.
async fn waiting(house: &House) -> (Browser, String, ProofRequest) {
    let browser = house.begin("shop", SHOP).await;
    let url = house.request_url(&browser).await;
    let request = house.request(&url).await;
    (browser, url, request)
}

/// The sign-in can still be finished by an honest answer.
async fn still_works(house: &House, browser: &Browser, url: &str, request: &ProofRequest, member: &Member) {
    let answer = house.answer(request, &member.present(&house.commons, request, url, house.now())).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert!(house.page(browser).await.location().starts_with(SHOP));
}

fn basic(name: &str, secret: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{name}:{secret}")))
}

#[tokio::test]
async fn a_person_is_one_name_at_each_site_and_another_at_every_other() {
    let house = House::new(1).await;
    let (me, you) = (house.member(1), house.member(2));
    let subject = async |client: &str, uri: &str, member: &Member| -> Value {
        let code = house.code(client, uri, member).await;
        let token = if client == "clinic" {
            let fields =
                [("grant_type", "authorization_code"), ("redirect_uri", uri), ("code", &code), ("code_verifier", VERIFIER)];
            house.form("/token", &fields, &[(header::AUTHORIZATION, &basic(client, SECRET))]).await
        } else {
            house.redeem(client, uri, &code).await
        };
        assert_eq!(token.status, StatusCode::OK, "{}", token.body);
        let json = token.json();
        let keys = house.get("/jwks.json", &[]).await.json();
        let id_token = Token::parse(json["id_token"].as_str().unwrap()).unwrap();
        assert_eq!(id_token.header("kid"), keys["keys"][0].get("kid"));
        let claims = id_token.verify("JWT", &Jwk::from_json(&keys["keys"][0]).unwrap()).unwrap();
        assert_eq!((claims["iss"].as_str(), claims["aud"].as_str()), (Some(ISSUER), Some(client)));
        assert_eq!((claims["nonce"].as_str(), claims["auth_time"].as_u64()), (Some("n-1"), Some(house.now())));
        let bearer = format!("Bearer {}", json["access_token"].as_str().unwrap());
        let user = house.get("/userinfo", &[(header::AUTHORIZATION, &bearer)]).await.json();
        assert_eq!((&user["sub"], &user["trust_commons"]), (&claims["sub"], &claims["trust_commons"]));
        user
    };
    let at_shop = subject("shop", SHOP, &me).await;
    assert_eq!(at_shop["trust_commons"], serde_json::json!({ "age_band": "18-29" }), "what was asked for, and no more");
    assert_eq!(subject("shop", SHOP, &me).await, at_shop, "again");
    assert_ne!(subject("shop", SHOP, &you).await["sub"], at_shop["sub"]);
    let at_clinic = subject("clinic", CLINIC, &me).await;
    assert_eq!(at_clinic["trust_commons"], serde_json::json!({ "community": "river-valley" }));
    assert_ne!(at_clinic["sub"], at_shop["sub"]);
    assert_eq!(subject("clinic", "https://clinic.example/other", &me).await["sub"], at_clinic["sub"]);
}

#[tokio::test]
async fn a_wrong_redirect_goes_nowhere() {
    let house = House::new(1).await;
    for (client, uri) in [("shop", "https://evil.example/callback"), ("shop", "https://shop.example/callback/"), ("x", SHOP)]
    {
        let answer = house.get(&format!("/authorize?{}", query(client, uri)), &[]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.headers.get(header::LOCATION).is_none() && answer.headers.get(header::SET_COOKIE).is_none());
        assert!(answer.body.contains("This sign-in cannot go on"));
    }
    // The shop sees that it was tried in its name.
    assert_eq!((house.metric("shop", "wrong-redirect").await, house.metric("", "no-client").await), (2, 1));
    // Redeeming at another address than the code was sent to.
    let me = house.member(1);
    let code = house.code("clinic", CLINIC, &me).await;
    let fields = [
        ("grant_type", "authorization_code"),
        ("redirect_uri", "https://clinic.example/other"),
        ("code", &code),
        ("code_verifier", VERIFIER),
    ];
    let auth = basic("clinic", SECRET);
    house.form("/token", &fields, &[(header::AUTHORIZATION, &auth)]).await.is_refused(400, "invalid_grant");
}

#[tokio::test]
async fn a_replayed_code_takes_back_what_it_gave() {
    let house = House::new(1).await;
    let code = house.code("shop", SHOP, &house.member(1)).await;
    let first = house.redeem("shop", SHOP, &code).await.json();
    let bearer = format!("Bearer {}", first["access_token"].as_str().unwrap());
    assert_eq!(house.get("/userinfo", &[(header::AUTHORIZATION, &bearer)]).await.status, StatusCode::OK);
    house.redeem("shop", SHOP, &code).await.is_refused(400, "invalid_grant");
    let after = house.get("/userinfo", &[(header::AUTHORIZATION, &bearer)]).await;
    after.is_refused(401, "invalid_token");
    assert!(after.headers[header::WWW_AUTHENTICATE].to_str().unwrap().contains("invalid_token"));
    assert_eq!(house.metric("shop", "replayed-code").await, 1);

    // Whose code it was hears of it, once; nobody else does.
    let tried = async |member: &Member| {
        let (_, url, request) = waiting(&house).await;
        let answer = house.answer(&request, &member.present(&house.commons, &request, &url, house.now())).await;
        answer.json().get("tried").map_or(vec![], |tried| tried.as_array().unwrap().clone())
    };
    assert_eq!(tried(&house.member(2)).await, Vec::<Value>::new());
    let heard = tried(&house.member(1)).await;
    assert_eq!((heard.len(), &heard[0]["what"]), (1, &"replayed-code".into()), "{heard:?}");
    assert_eq!(tried(&house.member(1)).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_code_is_for_its_client_its_verifier_and_its_minute() {
    let house = House::new(1).await;
    let me = house.member(1);
    let code = house.code("shop", SHOP, &me).await;
    house.redeem("poll", SHOP, &code).await.is_refused(400, "invalid_grant");
    house.redeem("nobody", SHOP, &code).await.is_refused(401, "invalid_client");
    house.redeem("shop", SHOP, "no-such-code").await.is_refused(400, "invalid_grant");
    let grant = [("grant_type", "authorization_code"), ("client_id", "shop"), ("redirect_uri", SHOP), ("code", &code)];
    house.form("/token", &grant, &[]).await.is_refused(400, "invalid_grant");
    let wrong = "another-verifier-that-is-long-enough-for-PKCE-1";
    house.form("/token", &[&grant[..], &[("code_verifier", wrong)]].concat(), &[]).await.is_refused(400, "invalid_grant");
    assert_eq!(house.metric("shop", "bad-code").await, 2);
    let foreign = (house.metric("poll", "unknown-code").await, house.metric("", "wrong-client").await);
    assert_eq!(foreign, (1, 1), "another site's code, and nobody's");
    assert_eq!(house.redeem("shop", SHOP, &code).await.status, StatusCode::OK, "none of that used it up");
    let (_, url, request) = waiting(&house).await;
    house.answer(&request, "{}").await.is_refused(400, "unreadable");
    house.answer(&request, &you_instead(&house, &request, &url)).await.is_refused(403, "wrong-nonce");
    let heard = house.answer(&request, &me.present(&house.commons, &request, &url, house.now())).await.json();
    let what: Vec<&str> = heard["tried"].as_array().unwrap().iter().map(|one| one["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["bad-code", "bad-code", "other-answers"], "both tries with the code, and an answer to this request");
    let late = house.code("shop", SHOP, &me).await;
    house.wait(61);
    house.redeem("shop", SHOP, &late).await.is_refused(400, "invalid_grant");
}

/// A presentation for the same context and another challenge.
fn you_instead(house: &House, request: &ProofRequest, url: &str) -> String {
    let challenge = credential::Challenge::new(&request.context, [3; 32], house.now(), 60);
    let other = ProofRequest::new(request.context.clone(), challenge, &request.answer).unwrap();
    house.member(2).present(&house.commons, &other, url, house.now())
}

#[tokio::test]
async fn a_subject_is_forgotten_when_its_code_is_redeemed_or_its_time_is_over() {
    let house = House::new(1).await;
    let me = house.member(1);
    let code = house.code("shop", SHOP, &me).await;
    let grant = async |code: &str| house.provider.store.code(code).await.unwrap().unwrap();
    let subject = grant(&code).await.subject;
    assert!(subject.len() == 96 && house.holds(subject.as_bytes()));
    assert_eq!(house.redeem("shop", SHOP, &code).await.status, StatusCode::OK);
    assert_eq!((grant(&code).await.subject, grant(&code).await.disclosed.len()), (String::new(), 0));
    let late = house.code("shop", SHOP, &me).await;
    house.wait(61);
    house.provider.store.tidy(house.now()).await.unwrap();
    assert_eq!((grant(&late).await.subject, grant(&late).await.disclosed.len()), (String::new(), 0));
    // Ten minutes later no token holds it either: it is in no file.
    house.wait(600);
    house.provider.store.tidy(house.now()).await.unwrap();
    assert!(!house.holds(subject.as_bytes()));
}

#[tokio::test]
async fn a_client_with_a_secret_proves_it() {
    let house = House::new(1).await;
    let code = house.code("clinic", CLINIC, &house.member(1)).await;
    house.redeem("clinic", CLINIC, &code).await.is_refused(401, "invalid_client");
    let fields = [
        ("grant_type", "authorization_code"),
        ("redirect_uri", CLINIC),
        ("code", &code),
        ("code_verifier", VERIFIER),
        ("client_id", "clinic"),
        ("client_secret", "wrong"),
    ];
    let refused = house.form("/token", &fields, &[]).await;
    refused.is_refused(401, "invalid_client");
    assert!(refused.headers.contains_key(header::WWW_AUTHENTICATE));
    house.form("/token", &fields[..4], &[(header::AUTHORIZATION, "Basic !")]).await.is_refused(401, "invalid_client");
    let right: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| if *name == "client_secret" { (*name, SECRET) } else { (*name, *value) })
        .collect();
    let twice = house.form("/token", &right, &[(header::AUTHORIZATION, &basic("clinic", SECRET))]).await;
    twice.is_refused(400, "invalid_request");
    assert_eq!(house.form("/token", &right, &[]).await.status, StatusCode::OK);
    // A public client that sends a secret all the same.
    let code = house.code("shop", SHOP, &house.member(1)).await;
    let fields =
        [("grant_type", "authorization_code"), ("redirect_uri", SHOP), ("code", &code), ("code_verifier", VERIFIER)];
    house.form("/token", &fields, &[(header::AUTHORIZATION, &basic("shop", "x"))]).await.is_refused(401, "invalid_client");
}

#[tokio::test]
async fn the_token_call_says_what_it_wants() {
    let house = House::new(1).await;
    house.form("/token", &[], &[]).await.is_refused(400, "invalid_request");
    house.form("/token", &[("grant_type", "password")], &[]).await.is_refused(400, "unsupported_grant_type");
    house.post("/token", "application/json", "{}", &[]).await.is_refused(400, "invalid_request");
    let twice = "grant_type=authorization_code&grant_type=authorization_code";
    house.post("/token", "application/x-www-form-urlencoded", twice, &[]).await.is_refused(400, "invalid_request");
    house.get("/userinfo", &[]).await.is_refused(401, "invalid_token");
    house.get("/nowhere", &[]).await.is_refused(404, "no-such-call");
    house.get("/token", &[]).await.is_refused(405, "method-not-allowed");
    let long = "x".repeat(200_000);
    assert_eq!(
        house.post("/token", "application/x-www-form-urlencoded", &long, &[]).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
}

#[tokio::test]
async fn an_expired_sign_in_ends_for_device_and_browser() {
    let house = House::new(1).await;
    let me = house.member(1);
    let (browser, url, request) = waiting(&house).await;
    let answer = me.present(&house.commons, &request, &url, house.now());
    house.wait(181);
    house.answer(&request, &answer).await.is_refused(403, "stale");
    let back = house.page(&browser).await;
    assert_eq!((back.parameter("error").as_str(), back.parameter("state").as_str()), ("access_denied", "a state"));
    assert_eq!(back.parameter("iss"), ISSUER);
    house.provider.store.tidy(house.now()).await.unwrap();
    assert_eq!(house.page(&browser).await.status, StatusCode::GONE);
    house.answer(&request, &answer).await.is_refused(404, "no-request");
    house.get(path_of(&url), &[]).await.is_refused(404, "no-request");
}

#[tokio::test]
async fn an_answer_counts_once() {
    let house = House::new(1).await;
    let me = house.member(1);
    let (browser, url, request) = waiting(&house).await;
    let answer = me.present(&house.commons, &request, &url, house.now());
    assert_eq!(house.answer(&request, &answer).await.status, StatusCode::OK);
    house.answer(&request, &answer).await.is_refused(409, "answered-before");
    house.get(path_of(&url), &[]).await.is_refused(409, "answered-before");
    assert!(house.page(&browser).await.location().starts_with(SHOP));
    assert_eq!(house.page(&browser).await.status, StatusCode::GONE, "one code and no more");
    house.answer(&request, &answer).await.is_refused(409, "answered-before");
    // In another sign-in, it answers another challenge.
    let (browser, url, request) = waiting(&house).await;
    house.answer(&request, &answer).await.is_refused(403, "wrong-nonce");
    still_works(&house, &browser, &url, &request, &me).await;
}

#[tokio::test]
async fn a_proof_for_another_context_is_refused_on_both_sides() {
    let house = House::new(1).await;
    let me = house.member(1);
    let (browser, url, request) = waiting(&house).await;
    let clinic = house.begin("clinic", CLINIC).await;
    let clinic_url = house.request_url(&clinic).await;
    let elsewhere = house.request(&clinic_url).await;
    let answer = me.present(&house.commons, &elsewhere, &clinic_url, house.now());
    house.answer(&request, &answer).await.is_refused(403, "wrong-context");
    // The device refuses a context that the place may not ask for, and an answer that would go elsewhere.
    for (context_id, answer) in
        [("members", request.answer.as_str()), ("via http://127.0.0.1:8790", "https://evil.example/x")]
    {
        let context = Context::new(context_id, "https://shop.example", Kind::Standing).unwrap();
        let challenge = credential::Challenge::new(&context, [1; 32], house.now(), 60);
        let forged = ProofRequest::new(context, challenge, answer).unwrap();
        let refused = me.try_present(&house.commons, &forged, &url, house.now());
        assert_eq!(refused, Err(credential::Error::WrongAudience));
    }
    still_works(&house, &browser, &url, &request, &me).await;
}

#[tokio::test]
async fn one_issuer_an_old_roster_or_old_credentials_are_not_enough() {
    let house = House::new(1).await;
    let me = house.member(1);
    let (browser, url, request) = waiting(&house).await;
    // Whoever has one node's word only can make no presentation; cut out of a good one, it is refused.
    let [one, ..] = NodeId::ALL;
    let alone = house.commons.member_of(1, house.commons.issuers.epochs().at(house.now()), &[one]);
    let refused = alone.try_present(&house.commons, &request, &url, house.now());
    assert_eq!(refused, Err(credential::Error::TooFewCredentials { have: 1 }));
    house
        .answer(&request, &with_one_proof(&me.present(&house.commons, &request, &url, house.now())))
        .await
        .is_refused(403, "one-issuer");
    // Credentials by the same keys, for a roster that was replaced; and by other keys.
    for (seed, digest) in [(1, types::Digest([7; 32])), (2, *house.commons.issuers.commons())] {
        let old = Commons::of(seed, digest, credential::Epochs::DAILY);
        let member = old.member(1, house.now());
        let answer = member.present(&old, &request, &url, house.now());
        house.answer(&request, &answer).await.is_refused(403, "proof");
    }
    still_works(&house, &browser, &url, &request, &me).await;
    // Credentials of the day before, after the grace; the device's idea of the grace is another.
    let epoch = credential::Epoch(house.commons.issuers.epochs().at(house.now()).0 - 1);
    let yesterday = house.commons.member_of(1, epoch, &NodeId::ALL);
    let lenient = credential::Epochs { length_s: 86_400, grace_s: 86_400 };
    let lenient = Commons::of(1, *house.commons.issuers.commons(), lenient);
    let (browser, url, request) = waiting(&house).await;
    let shown = yesterday.present(&lenient, &request, &url, house.now());
    house.answer(&request, &shown).await.is_refused(403, "old-credentials");
    still_works(&house, &browser, &url, &request, &me).await;
}

/// The presentation's last proof cut off, with the count before it corrected.
fn with_one_proof(json: &str) -> String {
    let shown = Presentation::from_json(json).unwrap();
    let bytes = shown.to_bytes();
    let mut value: Value = serde_json::from_str(json).unwrap();
    // Borsh: the number of proofs, then each: node, length, bytes. Both proofs are of one length.
    let place = (0..bytes.len() - 8)
        .find(|at| {
            let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
            number(*at) == 2 && bytes.len() == at + 4 + 2 * (5 + number(at + 5))
        })
        .unwrap();
    let proof = (bytes.len() - place - 4) / 2;
    let cut = [&bytes[..place], &1u32.to_le_bytes(), &bytes[place + 4..place + 4 + proof]].concat();
    value["data"] = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(cut).into();
    value.to_string()
}

#[tokio::test]
async fn altered_answers_are_refused_and_only_so_often() {
    let house = House::new(1).await;
    let me = house.member(1);
    let (browser, url, request) = waiting(&house).await;
    let good = me.present(&house.commons, &request, &url, house.now());
    for bad in
        ["", "{}", "[]", "x", &good.replace("presentation", "challenge"), &good.replace("\"version\":1", "\"version\":2")]
    {
        house.answer(&request, bad).await.is_refused(400, "unreadable");
    }
    // Another age band than was signed, of the same length.
    let bytes = Presentation::from_json(&good).unwrap().to_bytes();
    let place = bytes.windows(5).position(|window| window == b"18-29").unwrap();
    let altered = [&bytes[..place], b"30-49", &bytes[place + 5..]].concat();
    let mut value: Value = serde_json::from_str(&good).unwrap();
    value["data"] = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(altered).into();
    house.answer(&request, &value.to_string()).await.is_refused(403, "proof");
    still_works(&house, &browser, &url, &request, &me).await;

    let (_, url, request) = waiting(&house).await;
    for _ in 0..oidc::store::ATTEMPTS {
        house.answer(&request, &value.to_string()).await.is_refused(403, "wrong-nonce");
    }
    let good = me.present(&house.commons, &request, &url, house.now());
    house.answer(&request, &good).await.is_refused(429, "too-many-answers");
    assert_eq!(house.metric("shop", "wrong-nonce").await, u64::from(oidc::store::ATTEMPTS));
    assert_eq!(house.metric("shop", "proof").await, 1);
}

#[tokio::test]
async fn a_site_gets_only_people_who_fit() {
    let house = House::new(1).await;
    let me = house.member(1);
    let browser = house.begin("old", "https://old.example/").await;
    let url = house.request_url(&browser).await;
    let request = house.request(&url).await;
    let refused = me.try_present(&house.commons, &request, &url, house.now());
    assert!(matches!(refused, Err(credential::Error::Demand { .. })));
}

#[tokio::test]
async fn where_each_person_is_admitted_once_nobody_comes_twice() {
    let mut house = House::new(1).await;
    let me = house.member(1);
    let poll = "https://poll.example/";
    assert_eq!(house.redeem("poll", poll, &house.code("poll", poll, &me).await).await.status, StatusCode::OK);
    house.reopen().await;
    let browser = house.begin("poll", poll).await;
    let url = house.request_url(&browser).await;
    let request = house.request(&url).await;
    let answer = me.present(&house.commons, &request, &url, house.now());
    house.answer(&request, &answer).await.is_refused(409, "admitted-before");
    assert_eq!(house.page(&browser).await.parameter("error"), "access_denied");
    house.code("poll", poll, &house.member(2)).await;
}

#[tokio::test]
async fn a_browser_without_the_cookie_or_after_a_no_gets_nothing() {
    let house = House::new(1).await;
    let me = house.member(1);
    let (browser, url, request) = waiting(&house).await;
    let stranger = Browser { page: browser.page.clone(), cookie: "sign-in=x".to_owned() };
    assert_eq!(house.page(&stranger).await.status, StatusCode::GONE);
    let answer = house.answer(&request, &me.present(&house.commons, &request, &url, house.now())).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(house.page(&stranger).await.status, StatusCode::GONE, "not even after the answer");
    assert!(house.page(&browser).await.location().starts_with(SHOP));

    let (browser, url, request) = waiting(&house).await;
    let cancel = format!("{}/cancel", browser.page);
    let back = house.form(&cancel, &[], &[(header::COOKIE, &browser.cookie)]).await;
    assert_eq!((back.parameter("error").as_str(), back.parameter("state").as_str()), ("access_denied", "a state"));
    let answer = me.present(&house.commons, &request, &url, house.now());
    house.answer(&request, &answer).await.is_refused(409, "answered-before");
}

#[tokio::test]
async fn the_page_is_sealed_off_and_escapes_names() {
    let house = House::new(1).await;
    let browser = house.begin("clinic", CLINIC).await;
    let page = house.page(&browser).await;
    let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert!(policy.contains("form-action 'self' https://clinic.example"));
    assert_eq!(page.headers[header::CACHE_CONTROL], "no-store");
    assert!(page.body.contains("Lake Clinic &amp; Sons") && !page.body.contains("Clinic & Sons"));
    assert!(!page.body.contains("style=") && !page.body.contains("<script>"));
    let request = house.request(&house.request_url(&browser).await).await;
    assert!(page.body.contains(&request.check_digits()));
    for file in ["/sign-in.css", "/sign-in.js"] {
        assert_eq!(house.get(file, &[]).await.status, StatusCode::OK);
    }
    let state = house.get(&format!("{}/state", browser.page), &[(header::COOKIE, &browser.cookie)]).await;
    assert_eq!(state.json()["waits"], true);
}

#[tokio::test]
async fn sign_ins_and_addresses_have_bounds() {
    let house = House::with(1, "open_sign_ins = 2").await;
    house.begin("shop", SHOP).await;
    house.begin("shop", SHOP).await;
    let third = house.get(&format!("/authorize?{}", query("shop", SHOP)), &[]).await;
    assert_eq!(third.parameter("error"), "temporarily_unavailable");
    house.wait(181);
    house.begin("shop", SHOP).await;
}
