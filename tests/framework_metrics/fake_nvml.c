/* A stand-in for libnvidia-ml.so.1 at its C boundary, scripted by the text file that FAKE_NVML_SCRIPT names.
 *
 * Each line is `KEY VALUE`. Times are seconds since nvmlInit of this process. Keys:
 *   gpus N                          number of GPUs (default 1)
 *   mig N                           GPU 0 is split into N instances
 *   power_w A [B]                   watts: A + B * t on each GPU (times 1 + its index)
 *   counter_s P                     the energy counter ticks each P seconds (default 0.02); 0: it never ticks
 *   reset_at N                      the counter starts anew at its Nth reading
 *   sm_clock_mhz V, throttle V, util V, memory_used_mib V, gpm 0|1, neighbour PID MIB
 *   error FUNCTION CODE [N]         FUNCTION (without the nvml prefix) fails with CODE from its Nth call on
 *   field_error ID CODE             that field value fails
 *   hang FUNCTION [N], crash FUNCTION [N], slow FUNCTION S
 *   garbage 1                       sensors return nonsense
 *   began FILE                      nvmlInit writes its time there (s on the monotonic clock)
 *   mark FILE                       FILE is made just before it hangs or crashes
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct { int index; int mig; } device;
typedef struct { unsigned gpu, memory; } utilisation;
typedef struct { unsigned long long total, free, used; } memory;
typedef struct { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; } process;
typedef union { double d; int si; unsigned ui; unsigned long ul; unsigned long long ull; long long sll; unsigned short us; } number;
typedef struct { unsigned field, scope; int64_t stamp, latency; unsigned type, status; number value; } field_value;
typedef struct { char *short_name, *long_name, *unit; } metric_info;
typedef struct { unsigned id; unsigned status; double value; metric_info info; } gpm_metric;
typedef struct { unsigned version, count; void *one, *two; gpm_metric metrics[477]; } gpm_get;
typedef struct { unsigned version, supported; } gpm_support;

enum { INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7 };
#define MAX_LINES 64
static char lines[MAX_LINES][512];
static int line_count = 0;
static long calls[MAX_LINES];
static double began = 0;
static device boards[16], instances[8];

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}
static double elapsed(void) { return now() - began; }

static const char *find(const char *key) {
    size_t length = strlen(key);
    for (int i = 0; i < line_count; i++)
        if (!strncmp(lines[i], key, length) && lines[i][length] == ' ') return lines[i] + length + 1;
    return NULL;
}
static double value_of(const char *key, double otherwise) {
    const char *text = find(key);
    return text ? atof(text) : otherwise;
}

/* Write the time to the file that is scripted under this key. */
static void note(const char *key) {
    char path[512];
    const char *text = find(key);
    if (!text || sscanf(text, "%511s", path) != 1) return;
    FILE *file = fopen(path, "w");
    if (!file) return;
    fprintf(file, "%.9f\n", now());
    fclose(file);
}

/* Return the scripted error of a function now, 0 for none; hang, crash or dawdle if so scripted. */
static int trouble(const char *function) {
    for (int i = 0; i < line_count; i++) {
        char word[16], name[64];
        double a = 0, b = 0;
        int got = sscanf(lines[i], "%15s %63s %lf %lf", word, name, &a, &b);
        if (got < 2 || strcmp(name, function)) continue;
        calls[i]++;
        if (!strcmp(word, "error") && calls[i] >= b) return (int)a;
        if (!strcmp(word, "hang") && calls[i] >= a) { note("mark"); for (;;) sleep(3600); }
        if (!strcmp(word, "crash") && calls[i] >= a) { note("mark"); abort(); }
        if (!strcmp(word, "slow")) usleep((useconds_t)(1e6 * a));
    }
    return 0;
}
#define ASK(name) do { int code = trouble(name); if (code) return code; } while (0)

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    const char *path = getenv("FAKE_NVML_SCRIPT");
    FILE *script = path ? fopen(path, "r") : NULL;
    line_count = 0;
    while (script && line_count < MAX_LINES && fgets(lines[line_count], sizeof lines[0], script)) line_count++;
    if (script) fclose(script);
    began = now();
    note("began");
    for (int i = 0; i < 16; i++) boards[i] = (device){i, -1};
    for (int i = 0; i < 8; i++) instances[i] = (device){0, i};
    return trouble("Init");
}
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { (void)code; return "scripted error"; }
int nvmlSystemGetDriverVersion(char *text, unsigned size) { snprintf(text, size, "999.00"); return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) {
    ASK("DeviceGetCount");
    *count = (unsigned)value_of("gpus", 1);
    return 0;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, device **found) {
    ASK("DeviceGetHandleByIndex");
    *found = &boards[index];
    return 0;
}
int nvmlDeviceGetUUID(device *d, char *text, unsigned size) {
    if (d->mig >= 0) snprintf(text, size, "MIG-%d-%d", d->index, d->mig);
    else snprintf(text, size, "GPU-%04d-fake", d->index);
    return 0;
}
int nvmlDeviceGetName(device *d, char *text, unsigned size) { (void)d; snprintf(text, size, "Fake GPU"); return 0; }
int nvmlDeviceGetMigMode(device *d, unsigned *current, unsigned *pending) {
    *current = *pending = d->index == 0 && value_of("mig", 0) > 0;
    return 0;
}
int nvmlDeviceGetMaxMigDeviceCount(device *d, unsigned *count) { (void)d; *count = 7; return 0; }
int nvmlDeviceGetMigDeviceHandleByIndex(device *d, unsigned index, device **found) {
    (void)d;
    if (index >= value_of("mig", 0)) return NOT_FOUND;
    *found = &instances[index];
    return 0;
}
int nvmlDeviceGetGpuInstanceId(device *d, unsigned *id) { *id = (unsigned)d->mig; return 0; }

static double watts(device *d, double t) {
    double a = 100, b = 0;
    const char *text = find("power_w");
    if (text) sscanf(text, "%lf %lf", &a, &b);
    return (a + b * t) * (1 + d->index);
}
static double joules(device *d, double t) { /* the integral of watts since init, plus what came before */
    return 5000 + 0.5 * (watts(d, 0) + watts(d, t)) * t;
}
int nvmlDeviceGetTotalEnergyConsumption(device *d, unsigned long long *mj) {
    ASK("DeviceGetTotalEnergyConsumption");
    static long readings = 0;
    static double reset_j = 0;
    double period = value_of("counter_s", 0.02), t = elapsed();
    t = period > 0 ? period * (long)(t / period) : 0;
    if (++readings == value_of("reset_at", 0)) reset_j = joules(d, t);
    *mj = (unsigned long long)(1e3 * (joules(d, t) - reset_j));
    return 0;
}
int nvmlDeviceGetPowerUsage(device *d, unsigned *mw) {
    ASK("DeviceGetPowerUsage");
    *mw = find("garbage") ? 4294967295u : (unsigned)(1e3 * watts(d, elapsed()));
    return 0;
}
int nvmlDeviceGetFieldValues(device *d, int count, field_value *values) {
    ASK("DeviceGetFieldValues");
    for (int i = 0; i < count; i++) {
        values[i].status = 0;
        for (int k = 0; k < line_count; k++) {
            unsigned id, code;
            if (sscanf(lines[k], "field_error %u %u", &id, &code) == 2 && id == values[i].field) values[i].status = code;
        }
        values[i].type = 1;
        if (values[i].field == 186) values[i].value.ui = (unsigned)(1e3 * watts(d, elapsed()));
        else if (values[i].field == 185) values[i].value.ui = (unsigned)(1e3 * watts(d, elapsed() > 1 ? elapsed() - 0.5 : 0));
        else if (values[i].field == 82) values[i].value.ui = 60;
        else values[i].status = NOT_SUPPORTED;
        if (find("garbage")) values[i].value.ui = 4294967295u;
    }
    return 0;
}
int nvmlDeviceGetUtilizationRates(device *d, utilisation *u) {
    ASK("DeviceGetUtilizationRates");
    if (d->mig >= 0) return NOT_SUPPORTED;
    u->gpu = (unsigned)value_of("util", 90);
    u->memory = 40;
    if (find("garbage")) u->gpu = 4000000000u;
    return 0;
}
int nvmlDeviceGetMemoryInfo(device *d, memory *m) {
    ASK("DeviceGetMemoryInfo");
    m->total = 80ull << 30;
    m->used = (unsigned long long)(value_of("memory_used_mib", 1024) * 1048576) / (d->mig >= 0 ? 2 : 1);
    m->free = m->total - m->used;
    return 0;
}
int nvmlDeviceGetClockInfo(device *d, unsigned kind, unsigned *mhz) {
    (void)d;
    ASK("DeviceGetClockInfo");
    *mhz = kind == 1 ? (unsigned)value_of("sm_clock_mhz", 1980) : 1593;
    return 0;
}
int nvmlDeviceGetMaxClockInfo(device *d, unsigned kind, unsigned *mhz) { (void)d; *mhz = kind == 1 ? 1980 : 1593; return 0; }
int nvmlDeviceGetTemperature(device *d, unsigned sensor, unsigned *c) {
    (void)d; (void)sensor;
    ASK("DeviceGetTemperature");
    *c = 45;
    return 0;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(device *d, unsigned long long *bits) {
    (void)d;
    ASK("DeviceGetCurrentClocksThrottleReasons");
    *bits = (unsigned long long)value_of("throttle", 0);
    return 0;
}
int nvmlDeviceGetEnforcedPowerLimit(device *d, unsigned *mw) { (void)d; *mw = 700000; return 0; }
int nvmlDeviceGetPcieThroughput(device *d, unsigned way, unsigned *kb) {
    (void)d;
    ASK("DeviceGetPcieThroughput");
    *kb = way == 0 ? 1024 : 2048;
    return 0;
}
int nvmlDeviceGetComputeRunningProcesses_v3(device *d, unsigned *count, process *list) {
    (void)d;
    ASK("DeviceGetComputeRunningProcesses");
    const char *text = find("neighbour");
    unsigned pid = 0, mib = 0, room = *count;
    if (!text) { *count = 0; return 0; }
    sscanf(text, "%u %u", &pid, &mib);
    *count = 1;
    if (!list || room < 1) return TOO_SMALL;
    list[0] = (process){pid, (unsigned long long)mib << 20, 0, 0};
    return 0;
}
int nvmlGpmQueryDeviceSupport(device *d, gpm_support *s) { (void)d; s->supported = value_of("gpm", 1) > 0; return 0; }
int nvmlGpmSampleAlloc(void **sample) { *sample = malloc(8); return 0; }
int nvmlGpmSampleFree(void *sample) { free(sample); return 0; }
int nvmlGpmSampleGet(device *d, void *sample) { (void)d; (void)sample; ASK("GpmSampleGet"); return 0; }
int nvmlGpmMigSampleGet(device *d, unsigned id, void *sample) { (void)d; (void)id; (void)sample; return 0; }
int nvmlGpmMetricsGet(gpm_get *get) {
    ASK("GpmMetricsGet");
    for (unsigned i = 0; i < get->count; i++) {
        get->metrics[i].status = 0;
        get->metrics[i].value = get->metrics[i].id;
    }
    return 0;
}
