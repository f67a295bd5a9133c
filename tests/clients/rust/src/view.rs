//! What the user sees, as JSON.

use anyhow::Result;
use matrix_sdk::{
    RoomMemberships, RoomState,
    latest_events::LatestEventValue,
    ruma::{OwnedEventId, RoomId, events::AnySyncTimelineEvent},
};
use matrix_sdk_ui::{
    notification_client::{NotificationClient, NotificationEvent, NotificationProcessSetup, NotificationStatus},
    sync_service::State,
    timeline::{EventTimelineItem, MsgLikeKind, TimelineItemContent, VirtualTimelineItem},
};
use serde_json::{Map, Value, json};

use crate::device::Session;

fn show_item(item: &EventTimelineItem) -> Value {
    let content = item.content();
    let mut shown = json!({
        "id": item.event_id(),
        "sender": item.sender(),
        "type": content.event_type_str(),
        "encrypted": item.encryption_info().is_some() || content.is_unable_to_decrypt(),
    });
    if let TimelineItemContent::MsgLike(like) = content {
        match &like.kind {
            MsgLikeKind::Message(message) => {
                shown["body"] = json!(message.body());
                if message.is_edited() {
                    shown["edited"] = json!(true);
                }
            }
            MsgLikeKind::Redacted => shown["redacted"] = json!(true),
            MsgLikeKind::UnableToDecrypt(why) => shown["failure"] = json!(format!("{why:?}")),
            _ => {}
        }
        let counts: Map<_, _> = like.reactions.iter().map(|(key, by)| (key.clone(), json!(by.len()))).collect();
        if !counts.is_empty() {
            shown["reactions"] = json!(counts);
        }
    }
    shown
}

impl Session {
    /// The room as this user sees it now; null before the client knows it.
    pub async fn view(&self, id: &RoomId) -> Result<Value> {
        let Some(room) = self.client.get_room(id) else {
            return Ok(Value::Null);
        };
        let counts = room.unread_notification_counts();
        let mut shown = json!({
            "name": room.display_name().await?.to_string(),
            "topic": room.topic(),
            "membership": format!("{:?}", room.state()),
            "encrypted": room.encryption_state().is_encrypted(),
            "unread": room.num_unread_notifications(),
            "highlights": room.num_unread_mentions(),
            "counted": {
                "notification_count": counts.notification_count,
                "highlight_count": counts.highlight_count,
            },
            "count": room.joined_members_count(),
        });
        if room.state() != RoomState::Joined {
            return Ok(shown);
        }
        let members = room.members(RoomMemberships::JOIN).await?;
        shown["members"] = members.iter().map(|m| json!(m.user_id())).collect();
        let open = self.opened(id).await?;
        shown["typing"] = json!(*open.typing.read().await);
        let (mut events, mut readers) = (Vec::new(), Map::new());
        for item in open.timeline.items().await {
            if let Some(VirtualTimelineItem::TimelineStart) = item.as_virtual() {
                shown["start"] = json!(true);
            }
            if let Some(event) = item.as_event() {
                events.push(show_item(event));
                for user in event.read_receipts().keys() {
                    readers.insert(user.to_string(), json!(event.event_id()));
                }
            }
        }
        shown["timeline"] = json!(events);
        shown["readers"] = json!(readers);
        Ok(shown)
    }

    /// The list of rooms, in its order.
    pub async fn show_rooms(&self) -> Result<Value> {
        let mut shown = Vec::new();
        for item in self.rooms.read().await.iter() {
            let latest = match item.latest_event() {
                LatestEventValue::Remote(event) => event.event_id().map(ToOwned::to_owned),
                LatestEventValue::RemoteInvite { event_id, .. } => event_id,
                _ => None,
            };
            shown.push(json!({
                "id": item.room_id(),
                "name": item.display_name().await?.to_string(),
                "membership": format!("{:?}", item.state()),
                "encrypted": item.encryption_state().is_encrypted(),
                "unread": item.num_unread_notifications(),
                "latest": latest,
            }));
        }
        Ok(json!(shown))
    }

    /// What a push of this event shows: the push has only the ids of the room and the event.
    pub async fn notification(&self, room: &RoomId, event: OwnedEventId) -> Result<Value> {
        let setup = match self.sync.state().get() {
            State::Idle => NotificationProcessSetup::MultipleProcesses,
            _ => NotificationProcessSetup::SingleProcess { sync_service: self.sync.clone() },
        };
        let client = NotificationClient::new(self.client.clone(), setup).await?;
        let item = match client.get_notification(room, &event).await? {
            NotificationStatus::Event(item) => item,
            other => return Ok(json!({"status": format!("{other:?}")})),
        };
        let (kind, body) = match &item.event {
            NotificationEvent::Invite(_) => ("invite".to_owned(), Value::Null),
            NotificationEvent::Timeline(event) => (event.event_type().to_string(), body_of(event)),
        };
        Ok(json!({
            "type": kind,
            "body": body,
            "sender": item.event.sender(),
            "senderName": item.sender_display_name,
            "room": item.room_computed_display_name,
            "members": item.joined_members_count,
            "encrypted": item.is_room_encrypted,
            "noisy": item.is_noisy,
            "mention": item.has_mention,
        }))
    }
}

fn body_of(event: &AnySyncTimelineEvent) -> Value {
    let content = serde_json::to_value(match event {
        AnySyncTimelineEvent::MessageLike(event) => event.original_content(),
        AnySyncTimelineEvent::State(_) => None,
    });
    content.map(|content| content["body"].clone()).unwrap_or_default()
}
