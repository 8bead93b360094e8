//! Transcripts: what `commons` prints, word for word.

#[test]
fn transcripts() {
    // Any folder that does not exist: nothing in these transcripts writes.
    let home = std::env::temp_dir().join("commons-transcripts-have-no-home");
    trycmd::TestCases::new()
        .env("COMMONS_HOME", home.to_string_lossy())
        .env("COMMONS_ASSETS", "no-assets-here")
        .env("COMMONS_PASSPHRASE", "correct horse battery")
        .env("NO_COLOR", "1")
        .env("COLUMNS", "100")
        .case("tests/cmd/*.trycmd");
}
