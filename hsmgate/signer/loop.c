/* Signs the items of a part without the interpreter, which would cost each of them more than it has to do there.
 *
 * Sessions' threads share the items, and each takes the next one whenever it is done with one. A thread comes back when
 * none is left, when something more urgent waits, or with an item that is to be looked at alone.
 *
 * Structures and functions: PKCS#11 3.2, section 5.13. `hsmgate.signer.items` has the other side of this.
 */
#define _POSIX_C_SOURCE 199309L
#include <poll.h>
#include <sched.h>
#include <time.h>

typedef unsigned char byte;
typedef unsigned long ulong; /* CK_ULONG, all handles, CK_RV */

enum { CKR_OK = 0 };

enum end { NONE_LEFT, URGENT, UNFIT, LATE, INIT_FAILED, SIGN_FAILED };

/* data: what C_Sign gets, NULL where that must be found out by itself. Both sizes are in bytes.
 * signatures: a place of `signature_size` bytes for each. signature_sizes: left alone until it is signed.
 * deadline: seconds of CLOCK_MONOTONIC. */
struct items {
    ulong count, next;
    double deadline;
    const byte *const *data;
    const ulong *data_sizes;
    byte *signatures;
    ulong signature_size;
    ulong *signature_sizes;
};

/* A session, and how it signs. */
struct signer {
    ulong (*init)(ulong session, void *mechanism, ulong key);
    ulong (*sign)(ulong session, const byte *data, ulong size, byte *signature, ulong *signature_size);
    ulong session;
    void *mechanism;
    ulong key;
};

/* What is not NONE_LEFT or URGENT is about an item, and what failed gave a CK_RV. */
struct stop {
    ulong item, ckr;
};

/* For threads that have something to do. urgent: how urgent the most urgent is that waits. socket: what comes there may be
 * more urgent. heard: not 0 from when a thread was told that something has come until that is read. */
struct bell {
    ulong urgent;
    int socket, heard;
};

/* What calls a thread away that does something so urgent, once it has signed so many items. give_way_at: when others may have
 * its core, by CLOCK_MONOTONIC; infinity for never. */
struct leave {
    struct bell *bell;
    ulong urgency, at_least;
    double give_way_at;
};

static const double LOOK_SECONDS = 0.0002; /* to look at the socket takes less than a hundredth of that */
static const double GIVE_WAY_SECONDS = 0.001; /* where others always wait for a core, they have it for 3 ms or so */

#define EXPORTED __attribute__((visibility("default")))

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* The next item, which nobody else gets; `count` if none is left. */
EXPORTED ulong hsmgate_take(struct items *items)
{
    ulong taken = __atomic_load_n(&items->next, __ATOMIC_RELAXED);
    do {
        if (taken == items->count)
            return taken;
    } while (!__atomic_compare_exchange_n(&items->next, &taken, taken + 1, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return taken;
}

static enum end sign_one(const struct signer *signer, struct items *items, struct stop *stop)
{
    ulong at = stop->item, size = items->signature_size;
    if (!items->data[at])
        return UNFIT;
    if (now() > items->deadline)
        return LATE;
    stop->ckr = signer->init(signer->session, signer->mechanism, signer->key);
    if (stop->ckr != CKR_OK)
        return INIT_FAILED;
    stop->ckr = signer->sign(signer->session, items->data[at], items->data_sizes[at], items->signatures + at * size, &size);
    if (stop->ckr != CKR_OK)
        return SIGN_FAILED;
    /* Whatever a module says, there is no more than there was room for. */
    items->signature_sizes[at] = size < items->signature_size ? size : items->signature_size;
    return NONE_LEFT;
}

/* Whether a thread that does something so urgent should see to something else. One thread is told of what has come. */
EXPORTED int hsmgate_rings(struct bell *bell, ulong urgency)
{
    struct pollfd socket = {.fd = bell->socket, .events = POLLIN};
    int unheard = 0;
    if (__atomic_load_n(&bell->urgent, __ATOMIC_RELAXED) > urgency)
        return 1;
    return !__atomic_load_n(&bell->heard, __ATOMIC_RELAXED) && poll(&socket, 1, 0) > 0 &&
           __atomic_compare_exchange_n(&bell->heard, &unheard, 1, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* The same, but now and then others may have this core first: what is to come may wait for it at whoever is to send it. A
 * module that never sleeps would keep it until the scheduler's clock ticks, every 4 ms on many machines. */
EXPORTED int hsmgate_leaves(struct leave *leave)
{
    if (now() >= leave->give_way_at) {
        sched_yield();
        leave->give_way_at = now() + GIVE_WAY_SECONDS;
    }
    return hsmgate_rings(leave->bell, leave->urgency);
}

/* Sign items. leave: NULL for a thread that nothing calls away. */
EXPORTED int hsmgate_sign(const struct signer *signer, struct items *items, struct leave *leave, struct stop *stop)
{
    double look_at = 0;
    for (ulong signed_here = 0; (stop->item = hsmgate_take(items)) != items->count;) {
        enum end end = sign_one(signer, items, stop);
        if (end != NONE_LEFT)
            return end;
        if (!leave || ++signed_here < leave->at_least)
            continue;
        double time = now();
        if (time >= look_at || __atomic_load_n(&leave->bell->urgent, __ATOMIC_RELAXED) > leave->urgency) {
            if (hsmgate_leaves(leave))
                return URGENT;
            look_at = time + LOOK_SECONDS;
        }
    }
    return NONE_LEFT;
}
