/* SPDX-License-Identifier: MIT */
#include "programs.h"

/* How often a kind is drawn, and how many children it has. */
static const struct {
    const char *name;
    unsigned weight;
    unsigned child_min, child_max;
} kinds[KINDS] = {
        [DO_SEQUENCE] = {"sequence", 22, 2, 4},
        [DO_LOOP] = {"loop", 14, 1, 1},
        [DO_GROUP] = {"group", 20, 1, 4},
        [DO_WITHIN] = {"within", 12, 1, 1},
        [DO_UNTIL] = {"until", 4, 1, 1},
        [DO_TIMEOUT] = {"timeout", 6, 1, 1},
        [DO_SHIELD] = {"shield", 6, 1, 1},
        [DO_DEFER] = {"defer", 8, 2, 2},
        [DO_MUTEX] = {"mutex", 10, 1, 1},
        [DO_RWLOCK] = {"rwlock", 8, 1, 1},
        [DO_SEMAPHORE] = {"semaphore", 12, 1, 1},
        [DO_ONCE] = {"once", 5, 1, 1},
        [DO_SLEEP] = {"sleep", 16, 0, 0},
        [DO_YIELD] = {"yield", 6, 0, 0},
        [DO_SPILL] = {"spill", 2, 0, 0},
        [DO_FAIL] = {"fail", 2, 0, 0},
        [DO_LOCAL] = {"local", 4, 0, 0},
        [DO_CANCEL_TASK] = {"cancel task", 8, 0, 0},
        [DO_CANCEL_SELF] = {"cancel self", 2, 0, 0},
        [DO_CANCEL_GROUP] = {"cancel group", 2, 0, 0},
        [DO_MOVE_TIMEOUT] = {"move timeout", 4, 0, 0},
        [DO_CONDITION_WAIT] = {"condition wait", 8, 0, 0},
        [DO_CONDITION_NOTIFY] = {"condition notify", 8, 0, 0},
        [DO_BARRIER] = {"barrier", 8, 0, 0},
        [DO_BARRIER_RESET] = {"barrier reset", 4, 0, 0},
        [DO_LATCH_WAIT] = {"latch wait", 4, 0, 0},
        [DO_LATCH_MOVE] = {"latch move", 5, 0, 0},
        [DO_EVENT_WAIT] = {"event wait", 5, 0, 0},
        [DO_EVENT_MOVE] = {"event move", 5, 0, 0},
        [DO_RATE] = {"rate", 6, 0, 0},
        [DO_PUT] = {"put", 20, 0, 0},
        [DO_GET] = {"get", 12, 0, 0},
        [DO_TRY] = {"try", 8, 0, 0},
        [DO_JOIN] = {"join", 4, 0, 0},
        [DO_CLOSE] = {"close", 1, 0, 0},
        [DO_SEND] = {"send", 10, 0, 0},
        [DO_RECEIVE] = {"receive", 9, 0, 0},
        [DO_SELECT] = {"select", 16, 0, 0},
        [DO_BROADCAST] = {"broadcast", 14, 0, 0},
        [DO_SUBSCRIBE] = {"subscribe", 8, 0, 0},
        [DO_WATCH_WAIT] = {"watch wait", 5, 0, 0},
        [DO_WATCH_SET] = {"watch set", 4, 0, 0},
        [DO_LOAD] = {"load", 12, 0, 0},
        [DO_LOADER_CLEAR] = {"loader clear", 2, 0, 0},
        [DO_PROMISE_WAIT] = {"promise wait", 5, 0, 0},
        [DO_PROMISE_SET] = {"promise set", 4, 0, 0},
        [DO_WAIT_MANY] = {"wait many", 5, 0, 0},
        [DO_COMPLETIONS] = {"completions", 5, 0, 0},
};

typedef struct tree_maker {
    program *program;
    uint64_t chance;
    size_t node_max;
    bool favoured[KINDS]; /* Each program is about a few things, so that tasks meet there. */
} tree_maker;

const char *kind_name(node_kind kind)
{
    return kinds[kind].name;
}

static unsigned draw(tree_maker *maker, unsigned below)
{
    maker->chance++;
    return (unsigned)(mix(maker->chance) >> 33) % below;
}

static unsigned weight_of(const tree_maker *maker, node_kind kind)
{
    return kinds[kind].weight * (maker->favoured[kind] ? 8 : 1);
}

static node_kind draw_kind(tree_maker *maker, node_kind from, node_kind end)
{
    unsigned total = 0;
    for (node_kind k = from; k < end; k++)
        total += weight_of(maker, k);
    unsigned lot = draw(maker, total);
    for (node_kind k = from; k < end; k++) {
        if (lot < weight_of(maker, k))
            return k;
        lot -= weight_of(maker, k);
    }
    return DO_SLEEP;
}

/*
 * Under the mutex of the condition nobody waits for what another user of the condition does: to
 * lock it again cannot be cancelled. So there is a leaf below it, and no more.
 */
static bool takes_leaves_only(const node *parent)
{
    return parent->kind == DO_MUTEX && parent->lots[0] % MUTEXES == 0;
}

static node *grow(tree_maker *maker, const node *parent, int depth)
{
    program *to = maker->program;
    bool full = to->node_count + CHILDREN_MAX * (size_t)depth >= maker->node_max || depth > 8;
    node *made = &to->nodes[to->node_count];

    made->id = (int)to->node_count++;
    if (full || (parent != NULL && takes_leaves_only(parent)))
        made->kind = draw_kind(maker, FIRST_LEAF, KINDS);
    else if (depth < 2)
        made->kind = draw(maker, 3) == 0 ? DO_SEQUENCE : DO_GROUP;
    else if (depth < 5 && draw(maker, 3) > 0)
        made->kind = draw_kind(maker, DO_SEQUENCE, FIRST_LEAF);
    else
        made->kind = draw_kind(maker, DO_SEQUENCE, KINDS);
    for (size_t i = 0; i < LOTS; i++)
        made->lots[i] = draw(maker, 1u << 30);

    unsigned spread = kinds[made->kind].child_max - kinds[made->kind].child_min;
    made->child_count = kinds[made->kind].child_min + draw(maker, spread + 1);
    for (size_t i = 0; i < made->child_count; i++)
        made->children[i] = grow(maker, made, depth + 1);
    return made;
}

void program_generate(program *made, uint64_t seed)
{
    tree_maker maker = {.program = made, .chance = mix(seed) & ~UINT64_C(0xffff)};
    *made = (program){.seed = seed};
    maker.node_max = 12 + draw(&maker, NODES_MAX - 60);
    for (int i = 0; i < 8; i++)
        maker.favoured[draw(&maker, KINDS)] = true;
    made->root_count = 1 + draw(&maker, ROOTS_MAX);
    for (size_t i = 0; i < made->root_count; i++) {
        made->roots[i] = grow(&maker, NULL, 0);
        maker.node_max += 12;
    }
}

static void print_node(const node *printed, int depth, FILE *out)
{
    if (printed->off)
        return;
    fprintf(out, "%*s%d %s", 2 * depth, "", printed->id, kind_name(printed->kind));
    fprintf(out, " (%u %u %u)\n", printed->lots[0] % 60, printed->lots[1] % 60,
            printed->lots[2] % 60);
    for (size_t i = 0; i < printed->child_count; i++)
        print_node(printed->children[i], depth + 1, out);
}

void program_print(const program *printed, FILE *out)
{
    for (size_t i = 0; i < printed->root_count; i++)
        print_node(printed->roots[i], 1, out);
}
