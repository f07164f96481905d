/* A PKCS#11 module that hands every call on to a real one, and fails the way a rules file says.
 *
 * Environment: FAULTS_MODULE is the real module; FAULTS_RULES the rules file (none: no faults); FAULTS_LOG a file that
 * gets a line for each call when it returns, `pid tid monotonic_seconds C_Function ckr`, and nothing of its arguments.
 *
 * A rule is a line of the rules file; what follows a # is a comment:
 *
 *     FUNCTION KIND [VALUE] [after=N] [count=N] [p=0.01] [until=finalize] [input=HEX] [scope=process]
 *
 * FUNCTION is one of FUNCTIONS below, or * for each of them. The kinds:
 *
 *     rv CKR         give that value, without the real call
 *     lostreply CKR  make the real call, then give that value
 *     delay MS       sleep first
 *     takes MS       sleep when the real call is done, for what is left of that time
 *     hang           sleep first, until the rule is gone from the file
 *     abort, segv, exit CODE    end the process so
 *     closeall       close all sessions of the call's slot first, as when a network connection is made anew (SoftHSM
 *                    may crash of that while another thread is in a call)
 *     logout         log out first
 *     renumber       closeall, and the objects have each other's handles from then on
 *     shuffle        as renumber, without closeall: a client library that connects and logs in anew by itself
 *     badsig         (C_Sign) flip a bit of the signature
 *     limit N        (C_OpenSession) CKR_SESSION_COUNT while this process has N sessions
 *     flags N        (C_GetTokenInfo) set these flags too
 *
 * A rule is for the calls that its kind can be done to: `logout` for those with a session, `badsig` for those that give
 * a signature, and so on; `input` leaves it only the C_Sign whose data contains these bytes. Of these calls the first
 * `after` are spared, and of the others each is taken with probability `p`, at most `count` in all. Every rule that
 * takes a call is done to it, in the file's order, until one gives a value without the real call.
 *
 * until=finalize: once taken, the fault is done to every later call of this process that it can be done to, whatever
 * becomes of the file, until C_Finalize. Only the call that was taken counts.
 *
 * Counts are shared by all processes, in RULES.hits, or are each one's own (scope=process). RULES.hits has a page for
 * each generation of the rules, the N of a line `# generation N` or 0, so that no count has to be set back to zero.
 *
 * No PKCS#11 header is needed: CK_FUNCTION_LIST is a version and 68 pointers, of which a copy is handed out.
 * Structures and functions: PKCS#11 2.40, section 3 and pkcs11f.h.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef unsigned char byte;
typedef unsigned long ulong; /* CK_ULONG, all handles, CK_RV */

static const ulong CKR_OK = 0x00, CKR_SESSION_COUNT = 0xB1, CKF_SERIAL_SESSION = 0x04;
static const ulong NO_OBJECT = 0; /* CK_INVALID_HANDLE */
static const ulong NONE = ~0UL;   /* no slot, no session */

struct attribute {
    ulong type;
    void *value;
    ulong size;
};

struct function_list {
    byte version[2];
    void (*entries[68])(void);
};

/* What is taken over: place in CK_FUNCTION_LIST, name, parameters; then what the call is on, what it is handed on with,
 * and what is done when it went well. Functions with an object handle that the gateway never calls (C_CopyObject,
 * C_EncryptInit, C_DeriveKey, ...) are not here: they take the caller's handles for real ones. */
#define FUNCTIONS(X)                                                                                                   \
    X(0, C_Initialize, (void *arguments), on_nothing(), (arguments), )                                                 \
    X(1, C_Finalize, (void *reserved), on_nothing(), (reserved), forget_everything())                                  \
    X(4, C_GetSlotList, (byte present, ulong *slots, ulong *count), on_nothing(), (present, slots, count), )           \
    X(5, C_GetSlotInfo, (ulong slot, void *info), on_slot(slot), (slot, info), )                                       \
    X(6, C_GetTokenInfo, (ulong slot, byte *info), on_slot(slot), (slot, info), set_flags(&call, info))                \
    X(7, C_GetMechanismList, (ulong slot, ulong *list, ulong *count), on_slot(slot), (slot, list, count), )            \
    X(12, C_OpenSession, (ulong slot, ulong flags, void *application, void *notify, ulong *session),                   \
      on_slot(slot), (slot, flags, application, notify, session), )                                                    \
    X(13, C_CloseSession, (ulong session), on_session(session), (session), forget_session())                           \
    X(14, C_CloseAllSessions, (ulong slot), on_slot(slot), (slot), forget_sessions())                                  \
    X(15, C_GetSessionInfo, (ulong session, void *info), on_session(session), (session, info), )                       \
    X(18, C_Login, (ulong session, ulong user, byte *pin, ulong size), on_session(session),                            \
      (session, user, pin, size), )                                                                                    \
    X(19, C_Logout, (ulong session), on_session(session), (session), )                                                 \
    X(20, C_CreateObject, (ulong session, struct attribute *attributes, ulong count, ulong *object),                   \
      on_session(session), (session, attributes, count, object), to_caller(&call, object, 1))                          \
    X(22, C_DestroyObject, (ulong session, ulong object), on_session(session),                                         \
      (session, to_real(&call, object)), forget_object(object))                                                        \
    X(24, C_GetAttributeValue, (ulong session, ulong object, struct attribute *attributes, ulong count),               \
      on_session(session), (session, to_real(&call, object), attributes, count), )                                     \
    X(25, C_SetAttributeValue, (ulong session, ulong object, struct attribute *attributes, ulong count),               \
      on_session(session), (session, to_real(&call, object), attributes, count), )                                     \
    X(26, C_FindObjectsInit, (ulong session, struct attribute *attributes, ulong count), on_session(session),          \
      (session, attributes, count), )                                                                                  \
    X(27, C_FindObjects, (ulong session, ulong *found, ulong size, ulong *count), on_session(session),                 \
      (session, found, size, count), to_caller(&call, found, *count))                                                  \
    X(28, C_FindObjectsFinal, (ulong session), on_session(session), (session), )                                       \
    X(42, C_SignInit, (ulong session, void *mechanism, ulong key), on_session(session),                                \
      (session, mechanism, to_real(&call, key)), )                                                                     \
    X(43, C_Sign, (ulong session, byte *data, ulong size, byte *signature, ulong *signature_size),                     \
      on_data(session, data, size, signature), (session, data, size, signature, signature_size),                       \
      spoil(&call, signature, signature_size))                                                                         \
    X(48, C_VerifyInit, (ulong session, void *mechanism, ulong key), on_session(session),                              \
      (session, mechanism, to_real(&call, key)), )                                                                     \
    X(49, C_Verify, (ulong session, byte *data, ulong size, byte *signature, ulong signature_size),                    \
      on_session(session), (session, data, size, signature, signature_size), )                                         \
    X(58, C_GenerateKey, (ulong session, void *mechanism, struct attribute *attributes, ulong count, ulong *key),      \
      on_session(session), (session, mechanism, attributes, count, key), to_caller(&call, key, 1))                     \
    X(59, C_GenerateKeyPair, (ulong session, void *mechanism, struct attribute *a, ulong m, struct attribute *b,       \
      ulong n, ulong *public_key, ulong *private_key), on_session(session),                                            \
      (session, mechanism, a, m, b, n, public_key, private_key),                                                       \
      to_caller(&call, public_key, 1); to_caller(&call, private_key, 1))                                               \
    X(60, C_WrapKey, (ulong session, void *mechanism, ulong wrapping_key, ulong key, byte *wrapped, ulong *size),      \
      on_session(session),                                                                                             \
      (session, mechanism, to_real(&call, wrapping_key), to_real(&call, key), wrapped, size), )                        \
    X(61, C_UnwrapKey, (ulong session, void *mechanism, ulong unwrapping_key, byte *wrapped, ulong size,               \
      struct attribute *attributes, ulong count, ulong *key), on_session(session),                                     \
      (session, mechanism, to_real(&call, unwrapping_key), wrapped, size, attributes, count, key),                     \
      to_caller(&call, key, 1))                                                                                        \
    X(64, C_GenerateRandom, (ulong session, byte *random, ulong size), on_session(session),                            \
      (session, random, size), )

enum function {
#define X(place, name, ...) ID_##name,
    FUNCTIONS(X)
#undef X
    ANY_FUNCTION,
    FUNCTION_NAMES
};

static const char *const function_names[FUNCTION_NAMES] = {
#define X(place, name, ...) #name,
    FUNCTIONS(X)
#undef X
    "*",
};

static struct {
#define X(place, name, parameters, ...) ulong(*name) parameters;
    FUNCTIONS(X)
#undef X
} real;

enum kind {
    RV, LOSTREPLY, DELAY, TAKES, EXIT, LIMIT, FLAGS, /* these have a value */
    HANG, ABORT, SEGV, CLOSEALL, LOGOUT, RENUMBER, SHUFFLE, BADSIG,
    KINDS
};

static const char *const kind_names[KINDS] = {
    "rv", "lostreply", "delay", "takes", "exit", "limit", "flags",
    "hang", "abort", "segv", "closeall", "logout", "renumber", "shuffle", "badsig",
};

enum { LINE_SIZE = 512, RULES_AT_MOST = 32, INPUT_SIZE = 64, OBJECTS_AT_MOST = 16384 };
enum { COUNTS_STRIDE = 65536 }; /* mmap wants whole pages, and none is larger */

struct rule {
    char line[LINE_SIZE];
    int function, kind;
    double value, after, count, probability; /* a double holds every CKR exactly */
    bool sticks, own_counts;
    byte input[INPUT_SIZE];
    size_t input_size;
};

struct counts {
    _Atomic uint64_t seen[RULES_AT_MOST], taken[RULES_AT_MOST];
};

/* A call, and what the faults have made of it so far. */
struct call {
    int function;
    ulong slot, session;
    const byte *data; /* what C_Sign is to sign */
    ulong data_size;
    bool signs, refused, lost, flip;
    ulong flags, rv, lost_rv;
    double until; /* when it may return, by `now`; 0 for at once */
    int next_rule; /* -1: the fault that sticks */
    unsigned rules_version;
};

/* Guards all of our state. It is never held across a real call, so that calls overlap as they do without us. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* A fault that could not be done must not pass for one that was survived. */
static void give_up(const char *why, const char *what)
{
    fprintf(stderr, "faults: %s: %s\n", why, what);
    abort();
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void sleep_ms(double ms)
{
    struct timespec left = {(time_t)(ms / 1000), (long)(ms * 1e6) % 1000000000};
    while (nanosleep(&left, &left) != 0)
        ;
}

/* ---- The rules file ---- */

static struct rule rules[RULES_AT_MOST];
static int rule_count;
static unsigned rules_version; /* a new one at each reading */
static unsigned long generation;
static struct stat rules_stat;
static double rules_checked_at;
static struct counts own_counts, *shared_counts;

static int index_of(const char *name, const char *const *names, int count)
{
    int index = 0;
    while (name && index < count && strcmp(name, names[index]) != 0)
        index++;
    return name ? index : count;
}

static size_t read_hex(const char *text, byte *bytes)
{
    int digits = 0;
    size_t size = 0;
    while (size < INPUT_SIZE && sscanf(text, "%2hhx%n", &bytes[size], &digits) == 1 && digits == 2) {
        text += 2;
        size++;
    }
    return *text ? 0 : size;
}

static bool read_option(const char *word, struct rule *rule)
{
    char rest;
    if (strcmp(word, "until=finalize") == 0)
        return rule->sticks = true;
    if (strcmp(word, "scope=process") == 0)
        return rule->own_counts = true;
    if (strncmp(word, "input=", 6) == 0)
        return (rule->input_size = read_hex(word + 6, rule->input)) > 0;
    return sscanf(word, "after=%lf%c", &rule->after, &rest) == 1 ||
           sscanf(word, "count=%lf%c", &rule->count, &rest) == 1 ||
           sscanf(word, "p=%lf%c", &rule->probability, &rest) == 1;
}

static struct rule read_rule(const char *line)
{
    struct rule rule = {.count = (double)UINT64_MAX, .probability = 1};
    char words[LINE_SIZE], rest, *at = NULL;
    strcpy(rule.line, line);
    strcpy(words, line);
    rule.function = index_of(strtok_r(words, " \t", &at), function_names, FUNCTION_NAMES);
    rule.kind = index_of(strtok_r(NULL, " \t", &at), kind_names, KINDS);
    bool good = rule.function < FUNCTION_NAMES && rule.kind < KINDS;
    const char *word = strtok_r(NULL, " \t", &at);
    if (good && rule.kind <= FLAGS) {
        good = word && sscanf(word, "%lf%c", &rule.value, &rest) == 1; /* %lf reads 0x30 too */
        word = strtok_r(NULL, " \t", &at);
    }
    for (; good && word; word = strtok_r(NULL, " \t", &at))
        good = read_option(word, &rule);
    if (!good)
        give_up("not a rule", line);
    return rule;
}

/* Take the page of RULES.hits that is the present generation's. */
static void map_counts(const char *rules_path)
{
    char path[4096];
    off_t offset = (off_t)generation * COUNTS_STRIDE;
    snprintf(path, sizeof path, "%s.hits", rules_path);
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    /* Unlike ftruncate, this never makes the file smaller, whoever else makes it larger. */
    if (file < 0 || posix_fallocate(file, offset, sizeof *shared_counts) != 0)
        give_up("cannot write", path);
    if (shared_counts)
        munmap(shared_counts, sizeof *shared_counts);
    shared_counts = mmap(NULL, sizeof *shared_counts, PROT_READ | PROT_WRITE, MAP_SHARED, file, offset);
    if (shared_counts == MAP_FAILED)
        give_up("cannot map", path);
    close(file);
}

static void read_rules(const char *path)
{
    char line[LINE_SIZE];
    FILE *file = fopen(path, "re");
    rules_stat = (struct stat){0};
    rules_version++;
    rule_count = 0;
    generation = 0;
    memset(&own_counts, 0, sizeof own_counts);
    if (!file)
        return;
    fstat(fileno(file), &rules_stat); /* it may be a newer file than the one that was noticed */
    while (fgets(line, sizeof line, file)) {
        sscanf(line, "# generation %lu", &generation);
        line[strcspn(line, "#\n")] = 0;
        if (!line[strspn(line, " \t")])
            continue;
        if (rule_count == RULES_AT_MOST)
            give_up("too many rules", path);
        rules[rule_count++] = read_rule(line);
    }
    fclose(file);
    map_counts(path);
}

/* Read the rules again if the file is another; that is looked for every 5 ms. */
static void refresh_rules(void)
{
    const char *path = getenv("FAULTS_RULES");
    struct stat found = {0};
    if (!path || now() - rules_checked_at < 0.005)
        return;
    rules_checked_at = now();
    if (stat(path, &found) != 0)
        found = (struct stat){0};
    if (found.st_ino != rules_stat.st_ino || found.st_size != rules_stat.st_size ||
        memcmp(&found.st_mtim, &rules_stat.st_mtim, sizeof found.st_mtim) != 0)
        read_rules(path);
}

/* ---- Sessions ---- */

static long sessions_open, sessions_opening;

static void end_opening(bool well)
{
    pthread_mutex_lock(&mutex);
    sessions_opening--;
    sessions_open += well;
    pthread_mutex_unlock(&mutex);
}

static void forget_session(void)
{
    pthread_mutex_lock(&mutex);
    sessions_open--;
    pthread_mutex_unlock(&mutex);
}

/* All of them, as a process works on one slot. */
static void forget_sessions(void)
{
    pthread_mutex_lock(&mutex);
    sessions_open = 0;
    pthread_mutex_unlock(&mutex);
}

/* NONE where the call is on no slot, or on a session that is dead. */
static ulong slot_of(const struct call *call)
{
    ulong info[4] = {NONE}; /* CK_SESSION_INFO begins with the slot */
    if (call->slot == NONE && call->session != NONE)
        real.C_GetSessionInfo(call->session, info);
    else
        info[0] = call->slot;
    return info[0];
}

static void close_all_sessions(ulong slot)
{
    real.C_CloseAllSessions(slot);
    forget_sessions();
}

/* ---- Object handles ----
 *
 * Until they are first renumbered the caller's handles are the real ones. To renumber is to list all objects, sort them
 * by what they are, and give each the handle of the next. So a key's stale handle is mostly that of another key which
 * can do the same; at the end of a run of such keys it is that of something else. Real handles may die with sessions
 * (SoftHSM drops those of private objects with the login); objects are recognised by their traits then. */

struct traits {
    ulong class, key_type;
    byte label[255], id[64], token;
};
_Static_assert(sizeof(struct traits) == 2 * sizeof(ulong) + 320, "no padding: traits are compared as bytes");

struct object {
    struct traits traits;
    ulong caller, real; /* the handles; real is NO_OBJECT until the object is seen again */
};

static struct object objects[OBJECTS_AT_MOST];
static size_t object_count;
static atomic_bool renumbered;

static struct traits traits_of(ulong session, ulong object)
{
    struct traits traits = {0};
    struct attribute wanted[] = {
        {0x000, &traits.class, sizeof traits.class},       /* CKA_CLASS */
        {0x100, &traits.key_type, sizeof traits.key_type}, /* CKA_KEY_TYPE */
        {0x003, traits.label, sizeof traits.label},        /* CKA_LABEL */
        {0x102, traits.id, sizeof traits.id},              /* CKA_ID */
        {0x001, &traits.token, sizeof traits.token},       /* CKA_TOKEN */
    };
    real.C_GetAttributeValue(session, object, wanted, 5); /* what it does not have stays zero */
    return traits;
}

static struct object *by_caller(ulong handle)
{
    for (size_t i = 0; i < object_count; i++)
        if (objects[i].caller == handle)
            return &objects[i];
    return NULL;
}

static struct object *by_real(ulong handle)
{
    for (size_t i = 0; i < object_count; i++)
        if (objects[i].real == handle)
            return &objects[i];
    return NULL;
}

/* A real handle that is not known: one of the objects whose handle died, or a new one. */
static struct object *recognise(ulong handle, const struct traits *traits)
{
    struct object *object = objects;
    while (object < objects + object_count &&
           (object->real != NO_OBJECT || memcmp(&object->traits, traits, sizeof *traits) != 0))
        object++;
    if (object == objects + object_count) {
        if (object_count++ == OBJECTS_AT_MOST)
            give_up("too many", "objects");
        object->traits = *traits;
        object->caller = NO_OBJECT;
        ulong unused = handle;
        while (by_caller(unused))
            unused++;
        object->caller = unused;
    }
    object->real = handle;
    return object;
}

/* The caller's handle for a real one. */
static ulong caller_handle(ulong session, ulong handle)
{
    struct traits traits = traits_of(session, handle);
    pthread_mutex_lock(&mutex);
    const struct object *object = by_real(handle);
    handle = (object ? object : recognise(handle, &traits))->caller;
    pthread_mutex_unlock(&mutex);
    return handle;
}

/* Know every object that can be seen now; with a session of our own, as the caller's may be searching. */
static void list_objects(ulong slot)
{
    ulong session, handle, count;
    if (real.C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &session) != CKR_OK)
        return;
    if (real.C_FindObjectsInit(session, NULL, 0) == CKR_OK)
        while (real.C_FindObjects(session, &handle, 1, &count) == CKR_OK && count)
            caller_handle(session, handle);
    real.C_CloseSession(session);
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct traits));
}

static void renumber(ulong slot, bool close)
{
    list_objects(slot);
    pthread_mutex_lock(&mutex);
    qsort(objects, object_count, sizeof *objects, compare);
    ulong first = object_count ? objects[0].caller : NO_OBJECT;
    for (size_t i = 0; i < object_count; i++) {
        objects[i].caller = i + 1 < object_count ? objects[i + 1].caller : first;
        if (close)
            objects[i].real = NO_OBJECT;
    }
    renumbered = true;
    pthread_mutex_unlock(&mutex);
    if (close)
        close_all_sessions(slot);
}

static ulong known_real(ulong handle)
{
    pthread_mutex_lock(&mutex);
    const struct object *object = by_caller(handle);
    handle = object ? object->real : NO_OBJECT;
    pthread_mutex_unlock(&mutex);
    return handle;
}

static ulong to_real(const struct call *call, ulong handle)
{
    if (!renumbered)
        return handle;
    if (known_real(handle) == NO_OBJECT)
        list_objects(slot_of(call));
    return known_real(handle);
}

static void to_caller(const struct call *call, ulong *handles, ulong count)
{
    for (ulong i = 0; renumbered && i < count; i++)
        handles[i] = caller_handle(call->session, handles[i]);
}

static void forget_object(ulong handle)
{
    pthread_mutex_lock(&mutex);
    struct object *object = by_caller(handle);
    if (object)
        *object = objects[--object_count];
    pthread_mutex_unlock(&mutex);
}

/* ---- Which rules take a call ---- */

static struct rule stuck;
static bool is_stuck;

/* Whether this kind of fault can be done to the call. */
static bool suits(const struct rule *rule, const struct call *call)
{
    switch (rule->kind) {
    case CLOSEALL:
    case RENUMBER:
    case SHUFFLE:
        return call->slot != NONE || call->session != NONE;
    case LOGOUT:
        return call->session != NONE;
    case BADSIG:
        return call->signs;
    case FLAGS:
        return call->function == ID_C_GetTokenInfo;
    case LIMIT:
        return call->function == ID_C_OpenSession && (double)(sessions_open + sessions_opening) >= rule->value;
    default:
        return true;
    }
}

static bool is_for(const struct rule *rule, const struct call *call)
{
    if (rule->input_size && !(call->data && memmem(call->data, call->data_size, rule->input, rule->input_size)))
        return false;
    return (rule->function == ANY_FUNCTION || rule->function == call->function) && suits(rule, call);
}

/* From 0 to 1, by splitmix64: the same for the same call of the same rules, so that a run can be repeated. */
static double dice(int rule, uint64_t call)
{
    uint64_t x = ((generation * RULES_AT_MOST + (uint64_t)rule) << 32) + call;
    x = (x + 1) * 0x9E3779B97F4A7C15;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    return (double)((x ^ (x >> 31)) >> 11) * 0x1p-53;
}

/* Count a call that a rule is for, and decide whether the rule takes it. */
static bool takes(int rule)
{
    struct counts *counts = rules[rule].own_counts ? &own_counts : shared_counts;
    uint64_t call = atomic_fetch_add(&counts->seen[rule], 1);
    if ((double)call < rules[rule].after || dice(rule, call) >= rules[rule].probability)
        return false;
    uint64_t taken = atomic_load(&counts->taken[rule]);
    do {
        if ((double)taken >= rules[rule].count)
            return false;
    } while (!atomic_compare_exchange_weak(&counts->taken[rule], &taken, taken + 1));
    if (rules[rule].own_counts)
        atomic_fetch_add(&shared_counts->taken[rule], 1);
    return true;
}

/* Find the next fault for a call; false if there is none. New rules are not for a call that the old ones held up. */
static bool next_fault(struct call *call, struct rule *fault)
{
    bool found = false;
    pthread_mutex_lock(&mutex);
    if (call->next_rule < 0) {
        refresh_rules();
        call->rules_version = rules_version;
        call->next_rule = 0;
        found = is_stuck && call->function != ID_C_Finalize && suits(&stuck, call);
        if (found)
            *fault = stuck;
    }
    while (!found && call->rules_version == rules_version && call->next_rule < rule_count) {
        int rule = call->next_rule++;
        found = !(is_stuck && rules[rule].sticks) && is_for(&rules[rule], call) && takes(rule);
        if (found)
            *fault = rules[rule];
        if (found && fault->sticks) {
            stuck = *fault;
            is_stuck = true;
        }
    }
    /* Counted before it is open, or `limit` would let too many pass at once. */
    if (!found && call->function == ID_C_OpenSession)
        sessions_opening++;
    pthread_mutex_unlock(&mutex);
    return found;
}

static bool is_in_the_file(const struct rule *fault)
{
    bool found = false;
    pthread_mutex_lock(&mutex);
    refresh_rules();
    for (int i = 0; i < rule_count; i++)
        found |= strcmp(rules[i].line, fault->line) == 0;
    pthread_mutex_unlock(&mutex);
    return found;
}

/* ---- Calls ---- */

static int call_log = -1;

static void refuse(struct call *call, ulong rv)
{
    call->refused = true;
    call->rv = rv;
}

static void lose_reply(struct call *call, ulong rv)
{
    call->lost = true;
    call->lost_rv = rv;
}

static void die(int with_signal)
{
    prctl(PR_SET_DUMPABLE, 0); /* nobody wants the core file */
    signal(with_signal, SIG_DFL);
    raise(with_signal);
}

static void inflict(const struct rule *fault, struct call *call)
{
    switch ((enum kind)fault->kind) {
    case RV: refuse(call, (ulong)fault->value); break;
    case LIMIT: refuse(call, CKR_SESSION_COUNT); break;
    case LOSTREPLY: lose_reply(call, (ulong)fault->value); break;
    case DELAY: sleep_ms(fault->value); break;
    case TAKES: call->until = now() + fault->value / 1000; break;
    case HANG: while (is_in_the_file(fault)) sleep_ms(20); break;
    case ABORT: die(SIGABRT); break;
    case SEGV: die(SIGSEGV); break;
    case EXIT: _exit((int)fault->value); /* not exit: destructors might hang, which is another fault */
    case CLOSEALL: close_all_sessions(slot_of(call)); break;
    case LOGOUT: real.C_Logout(call->session); break;
    case RENUMBER: renumber(slot_of(call), true); break;
    case SHUFFLE: renumber(slot_of(call), false); break;
    case BADSIG: call->flip = true; break;
    case FLAGS: call->flags |= (ulong)fault->value; break;
    case KINDS: break;
    }
}

/* Do to the call what the rules say; false if the real call is not to be made. */
static bool goes_on(struct call *call)
{
    struct rule fault;
    while (!call->refused && next_fault(call, &fault))
        inflict(&fault, call);
    return !call->refused;
}

static struct call on_slot(ulong slot)
{
    return (struct call){.slot = slot, .session = NONE, .next_rule = -1};
}

static struct call on_nothing(void)
{
    return on_slot(NONE);
}

static struct call on_session(ulong session)
{
    struct call call = on_nothing();
    call.session = session;
    return call;
}

static struct call on_data(ulong session, const byte *data, ulong size, const byte *signature)
{
    struct call call = on_session(session);
    call.data = data;
    call.data_size = size;
    call.signs = signature != NULL;
    return call;
}

static void set_flags(const struct call *call, byte *info)
{
    ulong flags;
    byte *at = info + 96; /* CK_TOKEN_INFO's flags come after its four texts */
    memcpy(&flags, at, sizeof flags);
    flags |= call->flags;
    memcpy(at, &flags, sizeof flags);
}

static void spoil(const struct call *call, byte *signature, const ulong *size)
{
    if (call->flip && *size)
        signature[*size / 2] ^= 1;
}

static void forget_everything(void)
{
    pthread_mutex_lock(&mutex);
    is_stuck = false;
    sessions_open = 0;
    object_count = 0;
    renumbered = false;
    pthread_mutex_unlock(&mutex);
}

/* What the caller gets. */
static ulong answer(const struct call *call)
{
    ulong rv = call->lost && !call->refused ? call->lost_rv : call->rv;
    double left_ms = call->until ? (call->until - now()) * 1000 : 0;
    char line[128];
    if (left_ms > 0)
        sleep_ms(left_ms);
    if (call_log >= 0) {
        int size = snprintf(line, sizeof line, "%d %d %.6f %s 0x%lx\n", getpid(), gettid(), now(),
                            function_names[call->function], rv);
        if (write(call_log, line, (size_t)size) != size)
            give_up("cannot write", "FAULTS_LOG");
    }
    return rv;
}

#define X(place, name, parameters, on, arguments, when_well)                                                           \
    static ulong faulty_##name parameters                                                                              \
    {                                                                                                                  \
        struct call call = on;                                                                                         \
        call.function = ID_##name;                                                                                     \
        if (goes_on(&call))                                                                                            \
            call.rv = real.name arguments;                                                                             \
        bool well = !call.refused && call.rv == CKR_OK;                                                                \
        if (well) {                                                                                                    \
            when_well;                                                                                                 \
        }                                                                                                              \
        if (call.function == ID_C_OpenSession && !call.refused)                                                        \
            end_opening(well);                                                                                         \
        return answer(&call);                                                                                          \
    }
FUNCTIONS(X)
#undef X

/* ---- The module ---- */

static struct function_list faulty;

__attribute__((visibility("default"))) ulong C_GetFunctionList(struct function_list **list);

static void load_real_module(void)
{
    ulong (*get_function_list)(struct function_list **) = NULL;
    struct function_list *list = NULL;
    const char *path = getenv("FAULTS_MODULE"), *log = getenv("FAULTS_LOG");
    void *module = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    if (module)
        *(void **)&get_function_list = dlsym(module, "C_GetFunctionList");
    if (!get_function_list || get_function_list(&list) != CKR_OK)
        give_up("no module at FAULTS_MODULE", path ? path : "(not set)");
    if (log && (call_log = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600)) < 0)
        give_up("cannot write", log);
    faulty = *list;
    faulty.entries[3] = (void (*)(void))C_GetFunctionList;
#define X(place, name, parameters, ...)                                                                                \
    real.name = (ulong(*) parameters)list->entries[place];                                                             \
    faulty.entries[place] = (void (*)(void))faulty_##name;
    FUNCTIONS(X)
#undef X
}

ulong C_GetFunctionList(struct function_list **list)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load_real_module);
    *list = &faulty;
    return CKR_OK;
}
