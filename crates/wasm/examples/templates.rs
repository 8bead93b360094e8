//! Templates of photographs as the native code makes them: one line of base64 each, or `refused`. `./x web-test` compares them with
//! what the wasm build makes of the same photographs.
//!
//! `templates MODELS_FOLDER PHOTOGRAPH...`
#![expect(clippy::print_stdout, reason = "a command-line program")]

use std::error::Error;
use std::path::Path;

use biometric::capture::{Capturer, FaceSettings, Models};
use types::api::to_base64;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("name the folder with the models")?;
    let profile = biometric::profiles::by_id("face-512").ok_or("there is no face profile")?;
    let settings = FaceSettings::of(&profile)?;
    let [detect, landmark, embed] = settings.files().map(|file| std::fs::read(Path::new(&folder).join(&file.file)));
    let capturer = Capturer::new(&profile, Models { detect: detect?, landmark: landmark?, embed: embed? })?;
    for photograph in arguments {
        match capturer.template(&std::fs::read(&photograph)?) {
            Ok(template) => {
                let values = template.input_values();
                println!("{}", to_base64(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()));
            }
            Err(_) => println!("refused"),
        }
    }
    Ok(())
}
