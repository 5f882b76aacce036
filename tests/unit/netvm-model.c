/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netvm-model-impl.h"

Model model;

/* -- What is wrong --------------------------------------------------------- */

static const char *const kind_name[] = {
    [ACCESS_READ] = "reads",
    [ACCESS_WRITE] = "writes",
    [ACCESS_FENCE] = "fence",
    [ACCESS_UNTIL] = "has seen a change",
    [ACCESS_RING] = "rings",
    [ACCESS_SLEEP] = "wakes up",
    [ACCESS_UNTIL_DEAD] = "finds dead",
    [ACCESS_START] = "starts",
    [ACCESS_UNTIL_STARTED] = "begins",
    [ACCESS_DEATH] = "dies",
};

static void print_step(GString *to, const Step *s)
{
    const Access *a = &s->access;

    g_string_append_printf(to, "\n%-8s %s",
                           model.scenario->party[s->party].name,
                           kind_name[a->kind]);
    switch (a->kind) {
    case ACCESS_READ:
    case ACCESS_WRITE:
        g_string_append_printf(to, " %s %s%" G_GINT64_MODIFIER "x%s%s",
                               model.word_name[a->what[0]],
                               a->kind == ACCESS_READ ? "" : ":= ", s->result,
                               a->ordered ? ", ordered" : "",
                               s->is_newest ? "" : ", not the newest");
        break;
    case ACCESS_RING:
    case ACCESS_UNTIL_DEAD:
    case ACCESS_START:
        g_string_append_printf(to, " %s",
                               model.scenario->party[a->what[0]].name);
        break;
    default:
        break;
    }
}

void model_check(bool right, const char *format, ...)
{
    va_list args;
    GString *text;

    if (right) {
        return;
    }
    if (!model.result->wrong) {
        text = g_string_new(NULL);
        va_start(args, format);
        g_string_append_vprintf(text, format, args);
        va_end(args);
        for (unsigned i = 0; i < model.steps; i++) {
            print_step(text, &model.step[i]);
        }
        model.result->wrong = g_string_free(text, FALSE);
    }
    if (model.running != MODEL_NOBODY) {
        longjmp(model.stop, 1);
    }
}

/* -- One access ------------------------------------------------------------ */

static bool is_data(const Access *a)
{
    return (a->kind == ACCESS_READ || a->kind == ACCESS_WRITE) &&
           model.word_is_data[a->what[0]];
}

/* The other party, of those accesses that name one. */
static PartyState *other_of(const PartyState *p)
{
    return &model.now.party[p->next.what[0]];
}

/* In how many ways can the party go on? */
static unsigned ways_on(const PartyState *p)
{
    switch (p->next.kind) {
    case ACCESS_NONE:
    case ACCESS_DEATH:
        return 0;
    case ACCESS_READ:
        return memory_ways_to_read(p);
    case ACCESS_UNTIL:
        return memory_ways_until(p);
    case ACCESS_SLEEP:
        return p->bell;
    case ACCESS_UNTIL_DEAD:
        return other_of(p)->dead;
    case ACCESS_UNTIL_STARTED:
        return p->started;
    case ACCESS_WRITE:
    case ACCESS_FENCE:
    case ACCESS_RING:
    case ACCESS_START:
        return 1;
    }
    g_assert_not_reached();
}

static uint64_t do_access(PartyState *p, unsigned way)
{
    if (is_data(&p->next)) {
        return memory_data(p);
    }
    switch (p->next.kind) {
    case ACCESS_READ:
        return memory_read(p, way);
    case ACCESS_WRITE:
        return memory_write(p);
    case ACCESS_FENCE:
        memory_fence(p);
        break;
    case ACCESS_UNTIL:
        memory_until(p, way);
        break;
    case ACCESS_RING:
        other_of(p)->bell = true;
        break;
    case ACCESS_SLEEP:
        p->bell = false;
        break;
    case ACCESS_UNTIL_DEAD:
        memory_see(p, other_of(p));
        break;
    case ACCESS_START:
        memory_see(other_of(p), p);
        other_of(p)->started = true;
        break;
    case ACCESS_UNTIL_STARTED:
        break;
    case ACCESS_NONE:
    case ACCESS_DEATH:
        g_assert_not_reached();
    }
    return 0;
}

static void make_access(unsigned i, unsigned way)
{
    PartyState *p = &model.now.party[i];
    Step *s = &model.step[model.steps++];

    g_assert_cmpuint(model.steps, <, STEPS_MAX);
    g_assert_cmpuint(p->results_n, <, RESULTS_MAX);
    *s = (Step) { .party = i, .access = p->next, .is_newest = way == 0 };
    s->result = do_access(p, way);
    p->hash = mix(p->hash, s->result);
    p->results[p->results_n++] = s->result;
    p->may_die_now |= p->next.kind == ACCESS_WRITE ||
                      p->next.kind == ACCESS_RING;
}

/* -- Run a party ----------------------------------------------------------- */

/* Up to its next access, which is not made. */
static void run_party(unsigned i)
{
    model.running = i;
    model.results_used = 0;
    model.loop_begun = false;
    model.now.party[i].next = (Access) { .kind = ACCESS_NONE };
    if (setjmp(model.stop) == 0) {
        model.scenario->party[i].run();
    }
    model.running = MODEL_NOBODY;
}

static PartyState *running(void)
{
    g_assert_cmpint(model.running, !=, MODEL_NOBODY);
    return &model.now.party[model.running];
}

static bool is_without(unsigned what)
{
    return model.scenario->party[model.running].without & what;
}

/* Has it come to what it has not done before? */
static bool is_new(void)
{
    const PartyState *p = running();

    return model.loop_begun == p->in_loop &&
           model.results_used == p->results_n;
}

static uint64_t old_result(void)
{
    return running()->results[model.results_used++];
}

static void look_at_step(void)
{
    if (model.scenario->at_each_step) {
        model.scenario->at_each_step();
    }
}

static bool is_made_at_once(const Access *a)
{
    return is_data(a) || (a->kind == ACCESS_WRITE &&
                          model.scenario->party[model.running].writes_at_once);
}

/* It is new, and made by the next step, or at once. */
static uint64_t come_to(Access next)
{
    PartyState *p = running();

    p->next = next;
    if (!is_made_at_once(&next)) {
        longjmp(model.stop, 1);
    }
    model_check(!is_data(&next) || memory_is_ordered(p, next.what[0]),
                "%s uses %s, and nothing orders that after what others did",
                model.scenario->party[model.running].name,
                model.word_name[next.what[0]]);
    make_access(model.running, 0);
    p->next = (Access) { .kind = ACCESS_NONE };
    look_at_step();
    return old_result();
}

uint64_t model_read(const void *at, bool acquire)
{
    return is_new() ? come_to((Access) {
        .kind = ACCESS_READ,
        .ordered = acquire && !is_without(MODEL_NO_ACQUIRE),
        .what = { memory_word(at) },
    }) : old_result();
}

void model_write(void *at, uint64_t value, bool release)
{
    is_new() ? come_to((Access) {
        .kind = ACCESS_WRITE,
        .ordered = release && !is_without(MODEL_NO_RELEASE),
        .what = { memory_word(at) },
        .value = { value },
    }) : old_result();
}

void model_until_either(const void *at, uint64_t not_this,
                        const void *at_2, uint64_t not_this_2)
{
    is_new() ? come_to((Access) {
        .kind = ACCESS_UNTIL,
        .what = { memory_word(at), memory_word(at_2) },
        .value = { not_this, not_this_2 },
    }) : old_result();
}

void model_until(const void *at, uint64_t not_this)
{
    model_until_either(at, not_this, at, not_this);
}

/* Those that read or write no word. */
static void access_by(AccessKind kind, unsigned party)
{
    is_new() ? come_to((Access) { .kind = kind, .what = { party } })
             : old_result();
}

void model_fence(void)
{
    if (!is_without(MODEL_NO_FENCE)) {
        access_by(ACCESS_FENCE, 0);
    }
}

void model_ring(unsigned party)
{
    access_by(ACCESS_RING, party);
}

void model_sleep(void)
{
    access_by(ACCESS_SLEEP, 0);
}

void model_until_dead(unsigned party)
{
    access_by(ACCESS_UNTIL_DEAD, party);
}

void model_start(unsigned party)
{
    access_by(ACCESS_START, party);
}

void model_until_started(void)
{
    access_by(ACCESS_UNTIL_STARTED, 0);
}

unsigned model_self(void)
{
    return model.running;
}

void model_loop(void *locals, size_t bytes)
{
    PartyState *p = running();

    g_assert_cmpuint(bytes, <=, LOCALS_MAX_BYTES);
    if (p->in_loop && !model.loop_begun) {
        memcpy(locals, p->locals, bytes);
    } else {
        memcpy(p->locals, locals, bytes);
        p->before_loop_n = p->in_loop ? p->before_loop_n : p->results_n;
        p->in_loop = true;
        p->results_n = model.results_used = p->before_loop_n;
        p->hash = mix_bytes(1, locals, bytes);
    }
    model.loop_begun = true;
}

void model_hold(unsigned thing)
{
    if (is_new()) {
        int holder = model.now.holder[thing];

        model_check(holder == MODEL_NOBODY, "%s takes %u, which %s has",
                    model.scenario->party[model.running].name, thing,
                    holder == MODEL_NOBODY ? "nobody"
                    : model.scenario->party[holder].name);
        model.now.holder[thing] = model.running;
    }
}

void model_let_go(unsigned thing)
{
    if (is_new()) {
        model_check(model.now.holder[thing] == model.running,
                    "%s lets go of %u, which it does not have",
                    model.scenario->party[model.running].name, thing);
        model.now.holder[thing] = MODEL_NOBODY;
    }
}

/* -- Look at a state ------------------------------------------------------- */

int model_holder(unsigned thing)
{
    return model.now.holder[thing];
}

bool model_is_asleep(unsigned party)
{
    return model.now.party[party].next.kind == ACCESS_SLEEP &&
           !model.now.party[party].bell;
}

bool model_is_done(unsigned party)
{
    return model.now.party[party].next.kind == ACCESS_NONE &&
           !model.now.party[party].dead;
}

/* -- One step -------------------------------------------------------------- */

static void step(unsigned i, unsigned way)
{
    model.now.party[i].may_die_now = false;
    make_access(i, way);
    run_party(i);
    look_at_step();
}

static void die(unsigned i)
{
    PartyState *p = &model.now.party[i];

    model.step[model.steps++] = (Step) {
        .party = i,
        .access.kind = ACCESS_DEATH,
    };
    p->dead = true;
    p->may_die_now = false;
    p->hash = 0;
    p->next = (Access) { .kind = ACCESS_NONE };
    memory_see_all(p);
    for (unsigned k = 0; k < MODEL_THINGS; k++) {
        if (model.now.holder[k] == (int)i) {
            model.now.holder[k] = MODEL_NOBODY;
        }
    }
    look_at_step();
}

/* -- States that were seen ------------------------------------------------- */

static uint64_t key_of_now(void)
{
    uint64_t key = memory_key();

    for (unsigned i = 0; i < model.parties; i++) {
        const PartyState *p = &model.now.party[i];

        key = mix(key, p->hash);
        key = mix(key, p->next.kind << 4 | p->may_die_now << 3 |
                       p->started << 2 | p->dead << 1 | p->bell);
    }
    key = mix_bytes(key, model.now.holder, sizeof(model.now.holder));
    return key ? key : 1;
}

static Seen *seen_place(Seen *table, uint64_t size, uint64_t key)
{
    uint64_t at = key & (size - 1);

    while (table[at].key != 0 && table[at].key != key) {
        at = (at + 1) & (size - 1);
    }
    return &table[at];
}

static void seen_grow(void)
{
    uint64_t size = model.seen_size ? 2 * model.seen_size : 1 << 12;
    Seen *table = g_new0(Seen, size);

    for (uint64_t i = 0; i < model.seen_size; i++) {
        if (model.seen[i].key != 0) {
            *seen_place(table, size, model.seen[i].key) = model.seen[i];
        }
    }
    g_free(model.seen);
    model.seen = table;
    model.seen_size = size;
}

static void seen_add(uint64_t key, double interleavings)
{
    if (2 * model.result->states >= model.seen_size) {
        seen_grow();
    }
    *seen_place(model.seen, model.seen_size, key) = (Seen) {
        key, interleavings
    };
    model.result->states++;
    g_assert_cmpuint(model.result->states, <, STATES_MAX);
}

/* -- All that can follow --------------------------------------------------- */

/* In how many ways does it end?  Nothing of that, once something is wrong. */
static double explore(unsigned depth)
{
    uint64_t key = key_of_now();
    const Seen *seen = seen_place(model.seen, model.seen_size, key);
    const State here = model.now;
    unsigned steps = model.steps;
    double sum = 0;

    g_assert_cmpuint(depth, <, DEPTH_MAX);
    if (seen->key == key) {
        return seen->interleavings;
    }
    for (unsigned i = 0; i < model.parties; i++) {
        unsigned ways = ways_on(&here.party[i]);

        for (unsigned way = 0; way < ways && !model.result->wrong; way++) {
            step(i, way);
            sum += model.result->wrong ? 0 : explore(depth + 1);
            model.now = here;
            model.steps = steps;
        }
    }
    if (sum == 0 && !model.result->wrong) {
        model.result->ends++;
        sum = 1;
        model.scenario->at_end();
    }
    for (unsigned i = 0; i < model.parties && !model.result->wrong; i++) {
        if (model.scenario->party[i].may_die && here.party[i].may_die_now) {
            die(i);
            sum += model.result->wrong ? 0 : explore(depth + 1);
            model.now = here;
            model.steps = steps;
        }
    }
    seen_add(key, sum);
    return sum;
}

static void begin(void)
{
    model.running = MODEL_NOBODY;
    model.steps = 0;
    memset(&model.now, 0, sizeof(model.now));
    memset(model.now.holder, MODEL_NOBODY, sizeof(model.now.holder));
    memory_begin();
    for (model.parties = 0; model.parties < MODEL_PARTIES &&
         model.scenario->party[model.parties].name; model.parties++) {
        model.now.party[model.parties].may_die_now = true;
        run_party(model.parties);
    }
    look_at_step();
    seen_grow();
}

void model_run(const ModelScenario *scenario, ModelResult *result)
{
    *result = (ModelResult) { 0 };
    model.scenario = scenario;
    model.result = result;
    begin();
    if (!result->wrong) {
        result->interleavings = explore(0);
    }
    g_clear_pointer(&model.seen, g_free);
    model.seen_size = 0;
    for (unsigned i = 0; i < model.words; i++) {
        g_free(model.word_name[i]);
    }
    model.words = 0;
    memset(model.word_at, 0, sizeof(model.word_at));
}

void model_result_clear(ModelResult *result)
{
    g_clear_pointer(&result->wrong, g_free);
}
