/*
 * Signs in a loop: the most that a token gives, which is what the gateway is measured against.
 *
 *     sign_loop MODULE TOKEN_LABEL PIN_FILE KEY_LABEL SECONDS PROCESSES THREADS
 *
 * Each process loads the module, logs in and has THREADS sessions with a thread each. All start signing together. Prints
 * a line of JSON: the signatures per second of all together, and the seconds that one signature takes in one thread.
 *
 * The few declarations of PKCS#11 that it needs are its own (PKCS#11 3.2, sections 3 to 5).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef unsigned long ulong_t;

typedef struct { ulong_t mechanism; void *parameter; ulong_t parameter_size; } mechanism_t;
typedef struct { ulong_t type; void *value; ulong_t size; } attribute_t;
typedef struct { void *create, *destroy, *lock, *unlock; ulong_t flags; void *reserved; } initialize_t;
typedef struct { unsigned char major, minor; ulong_t (*call[68])(); } functions_t;

/* Where a function is in CK_FUNCTION_LIST. */
enum {
    INITIALIZE = 0, GET_SLOT_LIST = 4, GET_TOKEN_INFO = 6, OPEN_SESSION = 12, LOGIN = 18, GET_ATTRIBUTE_VALUE = 24,
    FIND_OBJECTS_INIT = 26, FIND_OBJECTS = 27, FIND_OBJECTS_FINAL = 28, SIGN_INIT = 42, SIGN = 43
};

enum { CKF_OS_LOCKING_OK = 2, CKF_RW_SESSION = 2, CKF_SERIAL_SESSION = 4, CKU_USER = 1 };
enum { CKA_CLASS = 0, CKA_LABEL = 3, CKA_KEY_TYPE = 0x100, CKO_PRIVATE_KEY = 3 };
enum { CKK_RSA = 0, CKK_EC = 3, CKK_EC_EDWARDS = 0x40 };
enum { CKM_RSA_PKCS = 1, CKM_ECDSA = 0x1041, CKM_EDDSA = 0x1057 };
enum { TOKEN_LABEL_SIZE = 32, MOST_SLOTS = 64, MOST_THREADS = 1024, WARM_UP = 5 };

/* SHA-256's DigestInfo without the digest (RFC 8017, section 9.2). */
static const unsigned char DIGEST_INFO[] = {
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};

/* What all processes share. They load the module one after another, because SoftHSM fails now and then at that. */
typedef struct { atomic_int loaded; pthread_barrier_t start; double per_second[MOST_THREADS]; } shared_t;

typedef struct {
    functions_t *functions;
    shared_t *shared;
    ulong_t session, key;
    mechanism_t mechanism;
    unsigned char data[64];
    ulong_t data_size;
    double seconds;
    int index;
} worker_t;

static void fail(const char *what, ulong_t code) {
    fprintf(stderr, "sign_loop: %s (0x%lx)\n", what, code);
    _exit(1);
}

static void check(ulong_t ckr, const char *function) {
    if (ckr != 0) fail(function, ckr);
}

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

static functions_t *load(const char *module) {
    functions_t *functions = NULL;
    void *library = dlopen(module, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) fail(dlerror(), 0);
    ulong_t (*get)(functions_t **) = (ulong_t (*)(functions_t **))dlsym(library, "C_GetFunctionList");
    if (get == NULL) fail("C_GetFunctionList is missing", 0);
    check(get(&functions), "C_GetFunctionList");
    initialize_t arguments = {.flags = CKF_OS_LOCKING_OK};
    check(functions->call[INITIALIZE](&arguments), "C_Initialize");
    return functions;
}

static ulong_t find_slot(functions_t *functions, const char *label) {
    ulong_t slots[MOST_SLOTS], count = MOST_SLOTS;
    char padded[TOKEN_LABEL_SIZE];
    memset(padded, ' ', sizeof padded);
    memcpy(padded, label, strnlen(label, sizeof padded));
    check(functions->call[GET_SLOT_LIST]((unsigned char)1, slots, &count), "C_GetSlotList");
    for (ulong_t i = 0; i < count; i++) {
        ulong_t info[128]; /* CK_TOKEN_INFO, which starts with the label */
        if (functions->call[GET_TOKEN_INFO](slots[i], info) == 0 && !memcmp(info, padded, sizeof padded)) return slots[i];
    }
    fail("there is no such token", 0);
    return 0;
}

static ulong_t open_session(functions_t *functions, ulong_t slot) {
    ulong_t session;
    ulong_t flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
    check(functions->call[OPEN_SESSION](slot, flags, NULL, NULL, &session), "C_OpenSession");
    return session;
}

static void log_in(functions_t *functions, ulong_t session, const char *pin_file) {
    char pin[256] = "";
    FILE *file = fopen(pin_file, "r");
    if (file == NULL || fgets(pin, sizeof pin, file) == NULL) fail("the PIN cannot be read", 0);
    fclose(file);
    ulong_t size = strcspn(pin, "\r\n");
    check(functions->call[LOGIN](session, (ulong_t)CKU_USER, pin, size), "C_Login");
}

static ulong_t find_key(functions_t *functions, ulong_t session, const char *label) {
    ulong_t private_key = CKO_PRIVATE_KEY, key, count = 0;
    attribute_t wanted[] = {{CKA_CLASS, &private_key, sizeof private_key}, {CKA_LABEL, (void *)label, strlen(label)}};
    check(functions->call[FIND_OBJECTS_INIT](session, wanted, 2UL), "C_FindObjectsInit");
    check(functions->call[FIND_OBJECTS](session, &key, 1UL, &count), "C_FindObjects");
    check(functions->call[FIND_OBJECTS_FINAL](session), "C_FindObjectsFinal");
    if (count != 1) fail("there is no such key", 0);
    return key;
}

/* What is signed, and with which mechanism, by the key's type. */
static void prepare(worker_t *worker) {
    ulong_t type = 0;
    attribute_t wanted = {CKA_KEY_TYPE, &type, sizeof type};
    check(worker->functions->call[GET_ATTRIBUTE_VALUE](worker->session, worker->key, &wanted, 1UL), "CKA_KEY_TYPE");
    memset(worker->data, 0x5a, sizeof worker->data);
    worker->data_size = 32;
    if (type == CKK_RSA) {
        worker->mechanism.mechanism = CKM_RSA_PKCS;
        memcpy(worker->data, DIGEST_INFO, sizeof DIGEST_INFO);
        worker->data_size += sizeof DIGEST_INFO;
    } else if (type == CKK_EC) {
        worker->mechanism.mechanism = CKM_ECDSA;
    } else if (type == CKK_EC_EDWARDS) {
        worker->mechanism.mechanism = CKM_EDDSA;
    } else {
        fail("that type of key is not known here", type);
    }
}

static void sign(worker_t *worker) {
    unsigned char signature[1024];
    ulong_t size = sizeof signature;
    check(worker->functions->call[SIGN_INIT](worker->session, &worker->mechanism, worker->key), "C_SignInit");
    check(worker->functions->call[SIGN](worker->session, worker->data, worker->data_size, signature, &size), "C_Sign");
}

static void *work(void *argument) {
    worker_t *worker = argument;
    for (int i = 0; i < WARM_UP; i++) sign(worker);
    pthread_barrier_wait(&worker->shared->start);
    double started = now(), end = started;
    long count = 0;
    for (; end - started < worker->seconds; end = now(), count++) sign(worker);
    worker->shared->per_second[worker->index] = count / (end - started);
    return NULL;
}

static void run(char **arguments, shared_t *shared, int process, int threads) {
    while (atomic_load(&shared->loaded) < process) usleep(1000);
    functions_t *functions = load(arguments[1]);
    ulong_t slot = find_slot(functions, arguments[2]);
    ulong_t login = open_session(functions, slot);
    log_in(functions, login, arguments[3]);
    ulong_t key = find_key(functions, login, arguments[4]);
    atomic_fetch_add(&shared->loaded, 1);
    worker_t workers[MOST_THREADS] = {0};
    pthread_t started[MOST_THREADS];
    for (int i = 0; i < threads; i++) {
        worker_t *worker = &workers[i];
        *worker = (worker_t){.functions = functions, .shared = shared, .key = key, .seconds = atof(arguments[5])};
        worker->session = open_session(functions, slot);
        worker->index = process * threads + i;
        prepare(worker);
        if (pthread_create(&started[i], NULL, work, worker) != 0) fail("no thread can be had", 0);
    }
    for (int i = 0; i < threads; i++) pthread_join(started[i], NULL);
    _exit(0); /* and spare the module its finalisation */
}

int main(int count, char **arguments) {
    if (count != 8) fail("MODULE TOKEN_LABEL PIN_FILE KEY_LABEL SECONDS PROCESSES THREADS", 0);
    int processes = atoi(arguments[6]), threads = atoi(arguments[7]), all = processes * threads;
    if (processes < 1 || threads < 1 || all > MOST_THREADS) fail("too few or too many processes and threads", 0);
    shared_t *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) fail("no memory", 0);
    pthread_barrierattr_t across_processes;
    pthread_barrierattr_init(&across_processes);
    pthread_barrierattr_setpshared(&across_processes, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&shared->start, &across_processes, all);
    pid_t children[MOST_THREADS];
    for (int i = 0; i < processes; i++) {
        children[i] = fork();
        if (children[i] == 0) run(arguments, shared, i, threads);
    }
    for (int i = 0; i < processes; i++) {
        int status;
        if (wait(&status) > 0 && status == 0) continue;
        for (int j = 0; j < processes; j++) kill(children[j], SIGKILL); /* they wait for one that is gone */
        return 1;
    }
    double per_second = 0;
    for (int i = 0; i < all; i++) per_second += shared->per_second[i];
    printf("{\"per_second\": %.3f, \"seconds_each\": %.9f}\n", per_second, all / per_second);
    return 0;
}
