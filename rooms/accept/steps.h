/* The steps that a received event goes through: rooms/accept/steps.def. */
#ifndef ROOMS_ACCEPT_STEPS_H
#define ROOMS_ACCEPT_STEPS_H

enum pdu_step {
    STEP_NONE, /* no verdict yet, or none of the steps objected */
#define ROOM_STEP(step, name, check) STEP_##step,
#define PDU_STEP(step, name, check) STEP_##step,
#define SIGNED_STEP(step, name, check) STEP_##step,
#define EVENT_STEP(step, name, check, ways) STEP_##step,
#include "rooms/accept/steps.def"
    PDU_STEPS
};

/* As in the log. */
const char *pdu_step_name(enum pdu_step step);

#endif
