//! `sidetone check`: would `serve` start?

use clap::Args;

use crate::cli::person::database_file;
use crate::cli::{Outcome, Places, Refusal, println};
use crate::config::store::Store;
use crate::runtime::http::tls::HttpTls;
use crate::runtime::http::tokens::Tokens;
use crate::runtime::notify::notifiers;
use crate::runtime::phrase_engine::{PhraseEngine, Purpose};
use crate::runtime::pronouncing;
use crate::runtime::sip_settings;
use crate::runtime::store::key_file::KeyFile;
use crate::runtime::store::vault::Vault;
use crate::runtime::transport::tls::Tls;

/// Arguments of `sidetone check`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
}

/// Reads what `serve` would read, passwords, certificates and the vault too, and verifies every model's hash.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    let (config, policy) = arguments.places.load()?;
    let installed = arguments.places.installed(&config)?;
    PhraseEngine::load(&installed, &config.keyword, &policy, Purpose::Watch)?;
    sip_settings::read(&config, &[])?;
    config.sip.tls.as_ref().map(Tls::load).transpose()?;
    let receivers = notifiers::prepare(&config.notify)?;
    config.http.tls.as_ref().map(HttpTls::load).transpose()?;
    config.http.tokens_file.as_deref().map(Tokens::open).transpose()?;
    let store = store(&config.store)?;
    println!("configuration  {}", arguments.places.config.display());
    let (phrases, rules) = (policy.phrases.len(), policy.rules.len());
    println!("policy         {}@{}, {phrases} phrases, {rules} rules", policy.name, policy.version);
    for experiment in pronouncing::experiments(&policy) {
        println!("experiment     {experiment}");
    }
    for (key, scope) in config.consent.lacking(&config.speaker) {
        println!(
            "consent        {key} is on, and consent.scopes lacks {scope}: no call has it unless it says so"
        );
    }
    println!("store          {store}");
    println!("speaker model  {}", installed.models().speaker);
    println!("keyword model  {}", installed.models().keyword);
    for (told, _) in receivers {
        println!("verdicts to    {}", told.name);
    }
    let sockets: Vec<_> = config.sip.listen.iter().map(ToString::to_string).collect();
    println!("good: `sidetone serve` would listen on {}", sockets.join(", "));
    Ok(Outcome::Done)
}

/// The vault in words. One that is away may be back by the time that `serve` wants it; one that is not made yet is not
/// made by looking.
fn store(store: &Store) -> Result<String, Refusal> {
    KeyFile::read(&Vault::key_file(store))?;
    if database_file(store).is_some_and(|file| !file.exists()) {
        return Ok(format!("{}, which is not made yet", store.database));
    }
    match Vault::configured(store) {
        Ok(vault) => Ok(vault.describe()),
        Err(error) if error.is_outage() => Ok(error.to_string()),
        Err(error) => Err(error.into()),
    }
}
