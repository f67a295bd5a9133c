//! The device, and which command is which method.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use anyhow::{Context, Result, bail};
use futures_util::{StreamExt, pin_mut};
use matrix_sdk::{
    Client, Room,
    ruma::{OwnedRoomId, RoomId},
};
use matrix_sdk_ui::{
    RoomListService,
    eyeball_im::Vector,
    room_list_service::{RoomListItem, filters},
    sync_service::SyncService,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::{Mutex, OnceCell, RwLock};

use crate::room::OpenRoom;

pub struct Device {
    pub url: String,
    pub store: PathBuf,
    pub session: OnceCell<Session>,
}

/// What there is once the user has signed in.
pub struct Session {
    pub client: Client,
    pub sync: Arc<SyncService>,
    /// The list of rooms as the user sees it.
    pub rooms: Arc<RwLock<Vector<RoomListItem>>>,
    open: Mutex<HashMap<OwnedRoomId, Arc<OpenRoom>>>,
}

impl Session {
    pub async fn new(client: Client) -> Result<Self> {
        let sync = SyncService::builder(client.clone()).with_offline_mode().build().await?;
        let rooms = Arc::new(RwLock::new(Vector::new()));
        tokio::spawn(follow_list(sync.room_list_service(), rooms.clone()));
        Ok(Self { client, sync: Arc::new(sync), rooms, open: Mutex::default() })
    }

    pub fn room(&self, id: &RoomId) -> Result<Room> {
        self.client.get_room(id).with_context(|| format!("the client knows no room {id}"))
    }

    /// The room with its timeline, as it is when the user has it on the screen.
    pub async fn opened(&self, id: &RoomId) -> Result<Arc<OpenRoom>> {
        let mut open = self.open.lock().await;
        if let Some(found) = open.get(id) {
            return Ok(found.clone());
        }
        let opened = Arc::new(OpenRoom::new(self.room(id)?).await?);
        open.insert(id.to_owned(), opened.clone());
        let ids: Vec<&RoomId> = open.keys().map(|id| &**id).collect();
        self.sync.room_list_service().set_room_subscriptions(&ids).await;
        Ok(opened)
    }
}

/// Keeps the list of rooms as RoomListService orders it.
async fn follow_list(service: Arc<RoomListService>, rooms: Arc<RwLock<Vector<RoomListItem>>>) {
    let list = service.all_rooms().await.expect("the service has its list");
    let (changes, controller) = list.entries_with_dynamic_adapters(10_000);
    controller.set_filter(Box::new(filters::new_filter_non_left()));
    pin_mut!(changes);
    while let Some(diffs) = changes.next().await {
        let mut shown = rooms.write().await;
        for diff in diffs {
            diff.apply(&mut shown);
        }
    }
}

/// The nth argument of a command.
fn arg<T: DeserializeOwned>(args: &[Value], n: usize) -> Result<T> {
    let value = args.get(n).cloned().unwrap_or(Value::Null);
    serde_json::from_value(value).with_context(|| format!("argument {n} of {args:?}"))
}

impl Device {
    pub fn new(url: String, store: PathBuf) -> Self {
        Self { url, store, session: OnceCell::new() }
    }

    pub fn session(&self) -> Result<&Session> {
        self.session.get().context("no user has signed in")
    }

    pub async fn run(&self, name: &str, args: &[Value]) -> Result<Value> {
        if let Some(value) = self.run_of_account(name, args).await? {
            return Ok(value);
        }
        let session = self.session()?;
        let id: OwnedRoomId = arg(args, 0)?;
        match name {
            "join" => session.client.join_room_by_id(&id).await.map(drop)?,
            "leave" => session.room(&id)?.leave().await?,
            "invite" => session.room(&id)?.invite_user_by_id(&arg::<matrix_sdk::ruma::OwnedUserId>(args, 1)?).await?,
            "typing" => session.room(&id)?.typing_notice(arg(args, 1)?).await?,
            "notification" => return session.notification(&id, arg(args, 1)?).await,
            "view" => return session.view(&id).await,
            "send" => return Ok(json!(session.opened(&id).await?.send(arg(args, 1)?).await?)),
            "sendMany" => {
                let room = session.opened(&id).await?;
                for body in arg::<Vec<String>>(args, 1)? {
                    room.send(body).await?;
                }
            }
            "mention" => return Ok(json!(session.opened(&id).await?.mention(arg(args, 1)?, arg(args, 2)?).await?)),
            "edit" => session.opened(&id).await?.edit(arg(args, 1)?, arg(args, 2)?).await?,
            "react" => session.opened(&id).await?.react(arg(args, 1)?, arg(args, 2)?).await?,
            "redact" => session.opened(&id).await?.redact(arg(args, 1)?).await?,
            "markRead" => session.opened(&id).await?.mark_read(arg(args, 1)?).await?,
            "scrollBack" => return session.opened(&id).await?.scroll_back(arg(args, 1)?).await,
            _ => bail!("there is no command {name}"),
        }
        Ok(Value::Null)
    }

    /// The commands that are not about one room.
    async fn run_of_account(&self, name: &str, args: &[Value]) -> Result<Option<Value>> {
        Ok(Some(match name {
            "register" => self.register(arg(args, 0)?, arg(args, 1)?).await?,
            "login" => self.login(arg(args, 0)?, arg(args, 1)?).await?,
            "restore" => self.restore(true).await?,
            "wake" => self.restore(false).await?,
            "logOut" => json!(self.session()?.client.matrix_auth().logout().await.map(drop)?),
            "bootstrap" => json!(self.session()?.bootstrap().await?),
            "recover" => json!(self.session()?.recover(arg(args, 0)?).await?),
            "identity" => self.session()?.identity().await?,
            "createRoom" => json!(self.session()?.create_room(arg(args, 0)?, arg(args, 1)?, arg(args, 2)?).await?),
            "rooms" => self.session()?.show_rooms().await?,
            "syncState" => json!(format!("{:?}", self.session()?.sync.state().get())),
            "start" => json!(self.session()?.sync.start().await),
            "stop" => json!(self.session()?.sync.stop().await),
            _ => return Ok(None),
        }))
    }
}
