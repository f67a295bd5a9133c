//! Signing in, and the encryption of an account.

use anyhow::{Context, Result, bail};
use matrix_sdk::{
    Client, SessionMeta,
    authentication::matrix::MatrixSession,
    encryption::{BackupDownloadStrategy, EncryptionSettings},
    ruma::{
        OwnedRoomId, OwnedUserId,
        api::client::{account::register, room::create_room, uiaa},
        events::{InitialStateEvent, room::encryption::RoomEncryptionEventContent},
    },
    sliding_sync::VersionBuilder,
    store::RoomLoadSettings,
};
use serde_json::{Value, json};

use crate::device::{Device, Session};

impl Device {
    async fn client(&self) -> Result<Client> {
        Ok(Client::builder()
            .homeserver_url(&self.url)
            .sliding_sync_version_builder(VersionBuilder::DiscoverNative)
            .sqlite_store(&self.store, None)
            .with_encryption_settings(EncryptionSettings {
                auto_enable_cross_signing: true,
                backup_download_strategy: BackupDownloadStrategy::AfterDecryptionFailure,
                auto_enable_backups: true,
            })
            .build()
            .await?)
    }

    async fn signed_in(&self, client: Client, is_syncing: bool) -> Result<Value> {
        client.encryption().wait_for_e2ee_initialization_tasks().await;
        let SessionMeta { user_id, device_id } = client.session_meta().context("no session")?.clone();
        let session = Session::new(client).await?;
        if is_syncing {
            session.sync.start().await;
        }
        if self.session.set(session).is_err() {
            bail!("a user has signed in already");
        }
        Ok(json!({"user": user_id, "device": device_id}))
    }

    /// Keeps what `restore` needs after the next start of the program.
    fn keep(&self, client: &Client) -> Result<()> {
        let session = client.matrix_auth().session().context("no session")?;
        Ok(std::fs::write(self.store.join("session.json"), serde_json::to_vec(&session)?)?)
    }

    pub async fn register(&self, user: String, password: String) -> Result<Value> {
        let client = self.client().await?;
        let mut request = register::v3::Request::new();
        request.username = Some(user);
        request.password = Some(password);
        request.auth = Some(uiaa::AuthData::Dummy(uiaa::Dummy::new()));
        request.initial_device_display_name = Some("phone".to_owned());
        client.matrix_auth().register(request).await?;
        self.keep(&client)?;
        self.signed_in(client, true).await
    }

    pub async fn login(&self, user: String, password: String) -> Result<Value> {
        let client = self.client().await?;
        let login = client.matrix_auth().login_username(user, &password);
        login.initial_device_display_name("phone").send().await?;
        self.keep(&client)?;
        self.signed_in(client, true).await
    }

    /// The program was started again. Without syncing: a push has woken it.
    pub async fn restore(&self, is_syncing: bool) -> Result<Value> {
        let client = self.client().await?;
        let session: MatrixSession = serde_json::from_slice(&std::fs::read(self.store.join("session.json"))?)?;
        client.matrix_auth().restore_session(session, RoomLoadSettings::default()).await?;
        self.signed_in(client, is_syncing).await
    }
}

impl Session {
    /// Secret storage with the cross-signing keys and the key backup. Returns the recovery key.
    pub async fn bootstrap(&self) -> Result<String> {
        Ok(self.client.encryption().recovery().enable().wait_for_backups_to_upload().await?)
    }

    pub async fn recover(&self, recovery_key: String) -> Result<()> {
        Ok(self.client.encryption().recovery().recover(&recovery_key).await?)
    }

    pub async fn identity(&self) -> Result<Value> {
        let encryption = self.client.encryption();
        let has_keys = encryption.cross_signing_status().await.is_some_and(|status| status.is_complete());
        Ok(json!({
            "crossSigningReady": has_keys,
            "deviceVerified": format!("{:?}", encryption.verification_state().get()),
            "recovery": format!("{:?}", encryption.recovery().state()),
            "backup": format!("{:?}", encryption.backups().state()),
        }))
    }

    pub async fn create_room(
        &self,
        name: String,
        invite: Vec<OwnedUserId>,
        plain: Option<bool>,
    ) -> Result<OwnedRoomId> {
        let mut request = create_room::v3::Request::new();
        request.name = Some(name);
        request.invite = invite;
        request.preset = Some(create_room::v3::RoomPreset::PrivateChat);
        if plain != Some(true) {
            let content = RoomEncryptionEventContent::with_recommended_defaults();
            request.initial_state = vec![InitialStateEvent::with_empty_state_key(content).to_raw_any()];
        }
        Ok(self.client.create_room(request).await?.room_id().to_owned())
    }
}
