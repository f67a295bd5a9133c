//! A room that is on the screen: its timeline, and who types in it.

use std::sync::Arc;

use anyhow::{Result, bail};
use matrix_sdk::{
    Room,
    room::edit::EditedContent,
    ruma::{
        OwnedEventId, OwnedUserId,
        api::client::receipt::create_receipt::v3::ReceiptType,
        events::{
            Mentions,
            room::message::{RoomMessageEventContent, RoomMessageEventContentWithoutRelation},
        },
    },
    send_queue::RoomSendQueueUpdate,
};
use matrix_sdk_ui::{
    Timeline,
    timeline::{RoomExt, TimelineEventItemId},
};
use serde_json::{Value, json};
use tokio::sync::{Mutex, RwLock};

pub struct OpenRoom {
    pub timeline: Timeline,
    pub typing: Arc<RwLock<Vec<OwnedUserId>>>,
    /// One message is sent after the other: the queue does not say which event a message became.
    sending: Mutex<()>,
}

impl OpenRoom {
    pub async fn new(room: Room) -> Result<Self> {
        let typing = Arc::<RwLock<Vec<OwnedUserId>>>::default();
        let (shown, (guard, mut changes)) = (typing.clone(), room.subscribe_to_typing_notifications());
        tokio::spawn(async move {
            let _guard = guard;
            while let Ok(users) = changes.recv().await {
                *shown.write().await = users;
            }
        });
        Ok(Self { timeline: room.timeline().await?, typing, sending: Mutex::default() })
    }

    /// Sends through the queue, as the application does, and waits until the server has the event.
    async fn send_content(&self, content: RoomMessageEventContent) -> Result<OwnedEventId> {
        let _turn = self.sending.lock().await;
        let (_, mut updates) = self.timeline.room().send_queue().subscribe().await?;
        self.timeline.send(content.into()).await?;
        let mut own = None;
        loop {
            match updates.recv().await? {
                RoomSendQueueUpdate::NewLocalEvent(echo) => own = own.or(Some(echo.transaction_id)),
                RoomSendQueueUpdate::SentEvent { transaction_id, event_id }
                    if Some(&transaction_id) == own.as_ref() =>
                {
                    return Ok(event_id);
                }
                RoomSendQueueUpdate::SendError { error, .. } => bail!("not sent: {error}"),
                _ => {}
            }
        }
    }

    pub async fn send(&self, body: String) -> Result<OwnedEventId> {
        self.send_content(RoomMessageEventContent::text_plain(body)).await
    }

    pub async fn mention(&self, body: String, user: OwnedUserId) -> Result<OwnedEventId> {
        let content = RoomMessageEventContent::text_plain(body);
        self.send_content(content.add_mentions(Mentions::with_user_ids([user]))).await
    }

    pub async fn edit(&self, event: OwnedEventId, body: String) -> Result<()> {
        let content = RoomMessageEventContentWithoutRelation::text_plain(body);
        let edited = EditedContent::RoomMessage(content);
        Ok(self.timeline.edit(&TimelineEventItemId::EventId(event), edited).await?)
    }

    pub async fn react(&self, event: OwnedEventId, key: String) -> Result<()> {
        self.timeline.toggle_reaction(&TimelineEventItemId::EventId(event), &key).await?;
        Ok(())
    }

    pub async fn redact(&self, event: OwnedEventId) -> Result<()> {
        Ok(self.timeline.redact(&TimelineEventItemId::EventId(event), None).await?)
    }

    pub async fn mark_read(&self, event: OwnedEventId) -> Result<()> {
        self.timeline.send_single_receipt(ReceiptType::Read, event).await?;
        Ok(())
    }

    /// Fetches older events until the given one is shown, or the start of the room.
    pub async fn scroll_back(&self, event: Option<OwnedEventId>) -> Result<Value> {
        let mut requests = 0;
        loop {
            if let Some(event) = &event
                && self.timeline.item_by_event_id(event).await.is_some()
            {
                return Ok(json!({"found": true, "requests": requests}));
            }
            requests += 1;
            if self.timeline.paginate_backwards(100).await? {
                return Ok(json!({"found": event.is_none(), "requests": requests}));
            }
        }
    }
}
