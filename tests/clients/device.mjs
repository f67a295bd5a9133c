// One signed-in device of one user: matrix-js-sdk with its Rust crypto, as Element runs it. It reads
// commands as lines of JSON from its standard input, {"id": 1, "do": "send", "args": [...]}, and
// answers each with {"id": 1, "value": ...} or {"id": 1, "error": "..."}. `view` is a room as its user
// would see it: tests repeat it until it is right. Logs go to the standard error.
import { Console } from "node:console";
import { createInterface } from "node:readline";

globalThis.console = new Console(process.stderr); // the standard output is for the answers

const sdk = await import("matrix-js-sdk");
const { SlidingSync } = await import("matrix-js-sdk/lib/sliding-sync.js");
const { decodeRecoveryKey, CryptoEvent, VerificationPhase, VerifierEvent } = await import(
    "matrix-js-sdk/lib/crypto-api/index.js"
);
const attachments = (await import("matrix-encrypt-attachment")).default;

const [baseUrl] = process.argv.slice(2);
let client = null;
let password = null;
let storageKey = null; // of the secret storage
let verification = null; // the request in progress
let sas = null;
let online = true;
let ended = false; // the server ended the session
let sliding = null; // when it syncs with sliding sync
const oddities = new Set(); // requests that the server did not know or failed at
let lastSync = "";
const counted = {}; // by room, the unread counts that the server sent last

// Every request of the client goes through here, so that tests can cut and observe them.
async function cable(url, options) {
    if (!online) throw new TypeError("the network is down");
    const response = await fetch(url, options);
    const path = new URL(url).pathname;
    if (path.endsWith("/sync") && response.ok) {
        const text = await response.clone().text();
        if (online) noteSync(text);
    }
    if (response.status === 404 || response.status === 405 || response.status >= 500) {
        const text = await response.clone().text();
        if (response.status >= 500 || text.includes("M_UNRECOGNIZED"))
            oddities.add(`${options?.method ?? "GET"} ${path} ${response.status}`);
    }
    if (!online) throw new TypeError("the network went down");
    return response;
}

function noteSync(text) {
    lastSync = text;
    const { rooms } = JSON.parse(text);
    for (const [id, { notification_count }] of Object.entries((sliding && rooms) ?? {}))
        if (notification_count !== undefined) counted[id] = { notification_count };
    for (const [id, joined] of Object.entries(rooms?.join ?? {}))
        if (joined.unread_notifications)
            counted[id] = {
                ...joined.unread_notifications,
                threads: joined.unread_thread_notifications ?? {},
            };
}

// When /sync returns an event before the answer to its sending has been handled, the SDK fails at its
// own echo, and would send the event again and again. The echo shows that it was sent.
const retryUnlessEchoed = (event, attempts, error) =>
    error.message?.includes("not a local echo")
        ? -1
        : sdk.MatrixScheduler.RETRY_BACKOFF_RATELIMIT(event, attempts, error);

async function sendOrHearEcho(roomId, threadId, content) {
    const txnId = client.makeTxnId();
    let hear;
    const echo = new Promise((resolve) => {
        hear = (event) =>
            event.getUnsigned().transaction_id === txnId && resolve({ event_id: event.getId() });
        client.on(sdk.ClientEvent.Event, hear);
    });
    const sent = client.sendMessage(roomId, threadId, content, txnId).catch((error) => {
        if (error.message?.includes("not a local echo")) return echo;
        throw error;
    });
    try {
        return (await sent).event_id;
    } finally {
        client.off(sdk.ClientEvent.Event, hear);
    }
}

function connect(session = {}) {
    client = sdk.createClient({
        baseUrl,
        fetchFn: cable,
        scheduler: new sdk.MatrixScheduler(retryUnlessEchoed),
        timelineSupport: true,
        cryptoCallbacks: {
            getSecretStorageKey: async ({ keys }) => [Object.keys(keys)[0], storageKey],
            cacheSecretStorageKey: (id, info, key) => (storageKey = key),
        },
        ...session,
    });
}

// One list of all rooms and a subscription to each room on the screen, as Element had them.
function slidingSync() {
    const state = ["m.room.name", "m.room.encryption", "m.room.avatar", "m.room.tombstone", "m.room.create"];
    const lists = {
        all: {
            ranges: [[0, 20]],
            timeline_limit: 1,
            required_state: [...state.map((type) => [type, ""]), ["m.room.member", "$ME"]],
        },
    };
    const subscription = { timeline_limit: 20, required_state: [["*", "*"]] };
    return new SlidingSync(baseUrl, new Map(Object.entries(lists)), subscription, client, 20000);
}

async function start(signedIn, lazyLoadMembers = false, isSliding = false) {
    connect({
        userId: signedIn.user_id,
        deviceId: signedIn.device_id,
        accessToken: signedIn.access_token,
    });
    await client.initRustCrypto({ useIndexedDB: false });
    client.on(CryptoEvent.VerificationRequestReceived, (request) => (verification = request));
    client.on(sdk.HttpApiEvent.SessionLoggedOut, () => (ended = true));
    const prepared = new Promise((resolve, reject) =>
        client.on(sdk.ClientEvent.Sync, (state, old, data) => {
            if (state === "PREPARED") resolve();
            if (state === "ERROR" && old === null) reject(data.error);
        }),
    );
    if (isSliding) sliding = slidingSync();
    await client.startClient({
        slidingSync: sliding ?? undefined,
        initialSyncLimit: 20,
        threadSupport: true,
        pollTimeout: 20000,
        lazyLoadMembers,
    });
    await prepared;
    return { user: client.getUserId(), device: client.getDeviceId() };
}

// The password stage of user-interactive authentication.
const authenticate = (request) =>
    request({
        type: "m.login.password",
        identifier: { type: "m.id.user", user: client.getUserId() },
        password,
    });

function room(id) {
    const found = client.getRoom(id);
    if (!found) throw new Error(`${client.getUserId()} knows no room ${id}`);
    return found;
}

const event = (roomId, eventId) => {
    const found = room(roomId).findEventById(eventId);
    if (!found) throw new Error(`${client.getUserId()} knows no event ${eventId}`);
    return found;
};

// After a gap there is a new live timeline, which is joined to the older one when the gap is filled.
function timelines(r) {
    const found = [];
    for (let t = r.getLiveTimeline(); t; t = t.getNeighbouringTimeline("b")) found.unshift(t);
    return found;
}
const events = (r) => timelines(r).flatMap((t) => t.getEvents());

function showEvent(r, e) {
    const content = e.getContent();
    const reactions = r.relations.getChildEventsForEvent(e.getId(), "m.annotation", "m.reaction");
    const shown = {
        id: e.getId(),
        sender: e.getSender(),
        type: e.getType(),
        body: content.body,
        encrypted: e.isEncrypted(),
    };
    if (e.isDecryptionFailure()) shown.failure = e.decryptionFailureReason;
    if (e.replacingEventId()) shown.edited = true;
    if (e.isRelation("m.replace")) shown.isEdit = true;
    if (e.isRedacted()) shown.redacted = true;
    if (e.isState()) shown.stateKey = e.getStateKey();
    for (const [key, events] of reactions?.getSortedAnnotationsByKey() ?? [])
        (shown.reactions ??= {})[key] = events.size;
    return shown;
}

function wait(check, what, seconds = 20) {
    return new Promise((resolve, reject) => {
        const deadline = Date.now() + seconds * 1000;
        const look = () => {
            const value = check();
            if (value) resolve(value);
            else if (Date.now() > deadline) reject(new Error(`waited in vain for ${what}`));
            else setTimeout(look, 20);
        };
        look();
    });
}

function follow(verifier) {
    verifier.on(VerifierEvent.ShowSas, (shown) => (sas = shown));
    sas = verifier.getShowSasCallbacks() ?? sas;
    verifier.verify().catch((error) => console.error("verification ended:", error));
}

const commands = {
    async register(user, secret, ...how) {
        connect();
        password = secret;
        return start(
            await client.registerRequest({
                username: user,
                password,
                auth: { type: "m.login.dummy" },
                initial_device_display_name: "test device",
            }),
            ...how,
        );
    },

    async login(user, secret, ...how) {
        connect();
        password = secret;
        return start(
            await client.loginRequest({
                type: "m.login.password",
                identifier: { type: "m.id.user", user },
                password,
            }),
            ...how,
        );
    },

    logOut: async () => void (await client.logout(true)),

    // The devices of a user that this client knows.
    async devices(user) {
        const known = await client.getCrypto().getUserDeviceInfo([user]);
        return [...known.get(user).keys()];
    },

    // A new identity: cross-signing keys, secret storage and key backup. Returns the recovery key.
    async bootstrap() {
        const crypto = client.getCrypto();
        const key = await crypto.createRecoveryKeyFromPassphrase();
        await crypto.bootstrapCrossSigning({ authUploadDeviceSigningKeys: authenticate });
        await crypto.bootstrapSecretStorage({
            createSecretStorageKey: async () => key,
            setupNewKeyBackup: true,
        });
        return key.encodedPrivateKey;
    },

    // A new device gets verified and reads the key backup.
    async recover(recoveryKey) {
        const crypto = client.getCrypto();
        storageKey = decodeRecoveryKey(recoveryKey);
        await crypto.userHasCrossSigningKeys(client.getUserId(), true); // fetches the public keys
        await crypto.bootstrapCrossSigning({});
        await crypto.loadSessionBackupPrivateKeyFromSecretStorage();
        await crypto.checkKeyBackupAndEnable();
        return crypto.restoreKeyBackup();
    },

    async identity() {
        const crypto = client.getCrypto();
        const user = client.getUserId();
        return {
            crossSigningReady: await crypto.isCrossSigningReady(),
            secretStorageReady: await crypto.isSecretStorageReady(),
            backupVersion: await crypto.getActiveSessionBackupVersion(),
            deviceVerified: (
                await crypto.getDeviceVerificationStatus(user, client.getDeviceId())
            )?.crossSigningVerified,
        };
    },

    // A new identity and backup; the others see that this user's identity changed.
    resetEncryption: () => client.getCrypto().resetEncryption(authenticate),

    // A dehydrated device, which receives keys while no other device is signed in.
    async dehydrate() {
        if (!(await client.getCrypto().isDehydrationSupported())) throw new Error("no dehydration");
        await client.getCrypto().startDehydration();
    },
    // Takes the keys that the dehydrated device was sent. Returns the number of messages.
    async rehydrate() {
        let last = null;
        client.on(CryptoEvent.RehydrationProgress, (keys, messages) => (last = messages));
        await client.getCrypto().startDehydration({ rehydrate: true });
        return last;
    },

    // How many of the keys of this device are in the backup.
    backedUp: async () => {
        const { count } = await client.http.authedRequest("GET", "/room_keys/version");
        return { count, keys: (await client.getCrypto().exportRoomKeys()).length };
    },

    // Verification by emoji: request, accept, compare, confirm.
    async requestVerification(user, roomId) {
        verification = await client.getCrypto().requestVerificationDM(user, roomId);
    },
    async requestOwnVerification() {
        await client.getCrypto().userHasCrossSigningKeys(client.getUserId(), true);
        verification = await client.getCrypto().requestOwnUserVerification();
    },
    async acceptVerification(user) {
        await wait(() => verification?.otherUserId === user, "a verification request");
        await verification.accept();
    },
    async startEmoji() {
        await wait(() => verification.phase === VerificationPhase.Ready, "the request's acceptance");
        follow(await verification.startVerification("m.sas.v1"));
    },
    async followEmoji() {
        follow(await wait(() => verification.verifier, "the start of the verification"));
    },
    emoji: async () => (await wait(() => sas?.sas, "the emoji")).emoji.map(([, name]) => name),
    async confirmEmoji() {
        await sas.confirm();
        await wait(() => verification.phase === VerificationPhase.Done, "the verification's end");
        verification = sas = null;
    },
    unverified: async (user) => !(await commands.verified(user)),
    verified: async (user) =>
        (await client.getCrypto().getUserVerificationStatus(user)).isCrossSigningVerified(),

    createRoom: async (name, invite) =>
        (
            await client.createRoom({
                name,
                invite,
                preset: "private_chat",
                initial_state: [
                    {
                        type: "m.room.encryption",
                        state_key: "",
                        content: { algorithm: "m.megolm.v1.aes-sha2" },
                    },
                ],
            })
        ).room_id,
    join: async (roomId) => void (await client.joinRoom(roomId)),
    invite: async (roomId, user) => void (await client.invite(roomId, user)),

    send: async (roomId, body, threadId = null) =>
        sendOrHearEcho(roomId, threadId, { msgtype: "m.text", body }),
    mention: async (roomId, body, user) =>
        (
            await client.sendMessage(roomId, {
                msgtype: "m.text",
                body,
                "m.mentions": { user_ids: [user] },
            })
        ).event_id,
    async sendMany(roomId, bodies) {
        for (const body of bodies) await commands.send(roomId, body);
    },
    edit: async (roomId, eventId, body) =>
        (
            await client.sendMessage(roomId, {
                msgtype: "m.text",
                body: `* ${body}`,
                "m.new_content": { msgtype: "m.text", body },
                "m.relates_to": { rel_type: "m.replace", event_id: eventId },
            })
        ).event_id,
    react: async (roomId, eventId, key) =>
        (
            await client.sendEvent(roomId, "m.reaction", {
                "m.relates_to": { rel_type: "m.annotation", event_id: eventId, key },
            })
        ).event_id,
    redact: async (roomId, eventId) => (await client.redactEvent(roomId, eventId)).event_id,
    // The client drops the events of a new thread while it fetches them again.
    async markRead(roomId, eventId) {
        const known = () => room(roomId).findEventById(eventId);
        await client.sendReadReceipt(await wait(known, `event ${eventId}`));
    },
    typing: async (roomId, on) => void (await client.sendTyping(roomId, on, 20000)),

    async sendFile(roomId, name, text) {
        const plain = new TextEncoder().encode(text);
        const { data, info } = await attachments.encryptAttachment(plain.buffer);
        const type = "application/octet-stream";
        const { content_uri: url } = await client.uploadContent(new Blob([data]), { type });
        return (
            await client.sendMessage(roomId, {
                msgtype: "m.file",
                body: name,
                file: { ...info, url },
                info: { size: plain.length, mimetype: "text/plain" },
            })
        ).event_id;
    },
    async readFile(roomId, eventId) {
        const { file } = event(roomId, eventId).getContent();
        const cipher = Uint8Array.from(Buffer.from(await commands.download(file.url), "base64"));
        return new TextDecoder().decode(await attachments.decryptAttachment(cipher.buffer, file));
    },

    // With sliding sync: the room is on the screen.
    open: (roomId) =>
        sliding.modifyRoomSubscriptions(sliding.getRoomSubscriptions().add(roomId)),

    // The room as this user sees it now; null before the client knows it.
    view(roomId) {
        const r = client.getRoom(roomId);
        if (!r) return null;
        const readers = {};
        for (const { userId } of r.getJoinedMembers()) readers[userId] = r.getEventReadUpTo(userId);
        const threads = {};
        for (const thread of r.getThreads())
            threads[thread.id] = thread.events
                .filter((e) => e.getId() !== thread.id)
                .map((e) => showEvent(r, e));
        return {
            name: r.name,
            membership: r.getMyMembership(),
            members: r.getJoinedMembers().map((m) => m.userId),
            typing: r.currentState.getMembers().filter((m) => m.typing).map((m) => m.userId),
            names: Object.fromEntries(r.getJoinedMembers().map((m) => [m.userId, m.rawDisplayName])),
            topic: r.currentState.getStateEvents("m.room.topic", "")?.getContent().topic,
            successor: r.currentState.getStateEvents("m.room.tombstone", "")?.getContent()
                .replacement_room,
            tags: Object.keys(r.tags),
            timeline: events(r).map((e) => showEvent(r, e)),
            readers,
            unread: r.getRoomUnreadNotificationCount("total"),
            highlights: r.getRoomUnreadNotificationCount("highlight"),
            threads,
            counted: counted[roomId],
        };
    },

    // Fetches older events until the given one is loaded or the room's start is reached.
    async scrollBackTo(roomId, eventId) {
        const r = room(roomId);
        const found = () => events(r).some((e) => e.getId() === eventId);
        let requests = 0;
        while (!found()) {
            requests++;
            const [oldest] = timelines(r);
            if (!(await client.paginateEventTimeline(oldest, { backwards: true, limit: 100 }))) break;
        }
        return { found: found(), requests };
    },

    pullCable: () => void (online = false),
    async plugCable() {
        online = true;
        client.retryImmediately();
        await wait(() => client.getSyncState() === "SYNCING", "the client to sync again", 30);
    },

    // The devices for which the next message would be encrypted.
    async encryptsTo(roomId) {
        const members = await room(roomId).getEncryptionTargetMembers();
        return members.map((member) => member.userId);
    },

    // Any method of the client whose arguments and value are plain data.
    sdk: (method, ...values) => client[method](...values),
    // A method that needs the password: its last argument is the authentication.
    async proven(method, ...values) {
        try {
            return await client[method](...values);
        } catch (error) {
            if (error.httpStatus !== 401) throw error;
            return authenticate((proof) =>
                client[method](...values, { ...proof, session: error.data.session }),
            );
        }
    },

    presence(user) {
        const { presence, presenceStatusMsg: message } = client.getUser(user) ?? {};
        return { presence, message };
    },
    sessionEnded: () => ended,
    accountData: (type) => client.getAccountData(type)?.getContent(),

    // The events around a given one, as a permalink shows them.
    async around(roomId, eventId) {
        const r = room(roomId);
        const timeline = await client.getEventTimeline(r.getUnfilteredTimelineSet(), eventId);
        for (const backwards of [true, false])
            await client.paginateEventTimeline(timeline, { backwards, limit: 5 });
        return timeline.getEvents().map((e) => showEvent(r, e));
    },

    // Bytes are passed as base64.
    upload: async (bytes, type, name) =>
        (await client.uploadContent(new Blob([Buffer.from(bytes, "base64")]), { type, name }))
            .content_uri,
    async download(mxc, width, height, method) {
        const url = client.mxcUrlToHttp(mxc, width, height, method, false, true, true);
        const response = await cable(url, {
            headers: { Authorization: `Bearer ${client.getAccessToken()}` },
        });
        if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`);
        return Buffer.from(await response.arrayBuffer()).toString("base64");
    },

    requests: () => [...oddities],
    lastSync: () => lastSync.slice(0, 20000),
};

for await (const line of createInterface({ input: process.stdin })) {
    const { id, do: name, args = [] } = JSON.parse(line);
    const answer = (a) => process.stdout.write(JSON.stringify({ id, ...a }) + "\n");
    Promise.resolve()
        .then(() => commands[name](...args))
        .then(
            (value) => answer({ value: value ?? null }),
            (error) => answer({ error: String(error?.stack ?? error) }),
        );
}
process.exit(0);
