use super::*;

fn face(threshold: f64) -> String {
    format!(
        "id = 'face-512'\nversion = 1\nmodality = 'face'\ndescription = 'd'\n[matching]\nkind = 'embedding'\ndimensions = 512\n\
         scale = 148\nclamp = 64\ncosine_threshold = {threshold}\nnorm_min = 0.9\nnorm_max = 1.05\n"
    )
}

#[test]
fn a_threshold_that_could_wrap_is_refused_with_the_scale_to_use() {
    assert!(Profile::from_toml(&face(0.4)).is_ok());
    let error = Profile::from_toml(&face(0.6)).unwrap_err();
    assert!(error.to_string().contains("use a scale of at most 140"), "{error}");
}

#[test]
fn offset_is_the_ceiling_and_digest_follows_it() {
    let a = Profile::from_toml(&face(0.334)).unwrap();
    assert_eq!(a.matching.offset(), 7316);
    let b = Profile::from_toml(&face(0.335)).unwrap();
    assert_ne!(a.digest(), b.digest());
}

#[test]
fn iris_scores_cannot_wrap() {
    let text = |q: u16| {
        format!(
            "id = 'iris'\nversion = 1\nmodality = 'iris'\ndescription = 'd'\n[matching]\nkind = 'iris-code'\nrows = 16\n\
             columns = 200\nwavelets = 2\nrotations = 31\ndot_weight = 2\nmask_weight = {q}\nmask_min = 1000\n"
        )
    };
    assert_eq!(Profile::from_toml(&text(1)).unwrap().matching.record_len(), 19_200);
    assert!(Profile::from_toml(&text(2)).is_err());
}
