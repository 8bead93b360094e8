//! `commons vouch`: a member's word for a newcomer, as a small file that the newcomer brings.

use std::path::PathBuf;

use client::Platform as _;
use serde_json::json;
use types::DeviceKey;
use types::api::{from_base64, to_base64};
use types::consent::Voucher;
use types::limits;
use types::sign::{Signed, public_key};

use crate::args::consent::Vouch;
use crate::commands::terms;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::home::read_limited;
use crate::words;

const FIRST_LINE: &str = "trust-commons voucher 1";

pub(crate) async fn run(context: &Context, args: Vouch) -> Result<Exit, Failure> {
    if args.who {
        return who(context);
    }
    let text = args.device.unwrap_or_default();
    let device = DeviceKey::from_hex(&text.to_ascii_lowercase()).map_err(|_| {
        Failure::input("this is no device key", "copy the 64 characters that `commons vouch --who` shows on their machine")
    })?;
    let (client, own) = context.member(false)?;
    let expires_at = terms::until(&args.until, client.platform().now())?;
    super::grant::look(context, &client, &own).await?;
    let voucher = Voucher { commons: client.commons().digest(), device, by: public_key(&own), expires_at };
    let signed = Signed::new(voucher, &own);
    let file = format!("{FIRST_LINE}\n{}\n", to_base64(&signed.to_bytes()));
    if let Some(path) = &args.out {
        std::fs::write(path, &file).map_err(|error| Failure::write(path, &error))?;
    }
    let facts = json!({ "device": device, "expires_at": expires_at, "voucher": file, "file": args.out });
    context.out.answer(&facts, |page| {
        page.headline(true, &format!("You vouch for this device until {}.", words::time(expires_at)));
        match &args.out {
            Some(path) => page.row("file", path.display()),
            None => page.line(format!("\n{file}")),
        }
        page.line("\nThey enrol with `commons enrol PHOTO --voucher FILE`. The nodes see that you vouched, and for whom.");
    });
    Ok(Exit::Yes)
}

fn who(context: &Context) -> Result<Exit, Failure> {
    let (_, device) = context.member(true)?;
    let key = public_key(&device);
    context.out.answer(&json!({ "device": key }), |page| {
        page.headline(true, "Your device key. It is no secret: give it to who vouches for you.");
        page.row("device", key);
    });
    Ok(Exit::Yes)
}

/// Reads voucher files.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Vec<Signed<Voucher>>, Failure> {
    if paths.len() > limits::VOUCHERS {
        return Err(Failure::input("these are too many vouchers", format!("bring at most {}", limits::VOUCHERS)));
    }
    let one = |path: &PathBuf| {
        let bytes = read_limited(path, 4096).map_err(|error| Failure::read(path, &error))?;
        let text = String::from_utf8_lossy(&bytes);
        let parse = || {
            let line = text.strip_prefix(FIRST_LINE)?.trim();
            Signed::<Voucher>::from_bytes(&from_base64("voucher", line).ok()?).ok()
        };
        let signed = parse().filter(|signed| signed.verify(&signed.message.by).is_ok());
        signed.ok_or_else(|| {
            Failure::input("this is no voucher, or it was altered", "ask who vouched for you for the file again")
                .about(path.display())
        })
    };
    paths.iter().map(one).collect()
}
