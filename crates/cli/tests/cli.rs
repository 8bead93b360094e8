//! Transcripts: what `commons` prints, word for word. After a change of words: `TRYCMD=overwrite cargo test -p cli --test cli`.

#[test]
fn transcripts() {
    let home = tempfile::tempdir().expect("a temporary folder");
    trycmd::TestCases::new()
        .env("COMMONS_HOME", home.path().to_string_lossy())
        .env("COMMONS_ASSETS", "no-assets-here")
        .env("COMMONS_PASSPHRASE", "correct horse battery")
        .env("NO_COLOR", "1")
        .env("COLUMNS", "100")
        .case("tests/cmd/*.trycmd");
}
