/* Evaluate and explain a forest of decision trees: the same bits as LightGBM's Booster.predict, and exact Shapley values.
 *
 * The arrays are those of forest.py, which says what they mean; check() looks at every index before any other function
 * uses one. What makes it fast:
 *   - A row is first turned into slots: small integers that say where its values lie among the model's thresholds, with
 *     missing values and categories decided. A split is then one comparison of 16-bit integers, in a node of 8 bytes.
 *   - Siblings lie side by side, and a leaf's child is itself. So a step has no branch, and eight walks at a time, each of as
 *     many steps as the deepest needs, keep the processor's loads in flight.
 *   - Trees are added in model order, which keeps the bits. Nothing here may be contracted into fused operations.
 *
 * Only malloc and its like are called, for scratch, and the exp and log1p that the caller gives: those of the C library that LightGBM calls
 * here, which a cross-compiler would replace by its own. Every function may be called by many threads.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__aarch64__)
#include <arm_neon.h>
#elif defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif
#define INLINE static inline __attribute__((always_inline))
#define APART static __attribute__((noinline))
#define WALKS 8     /* trees or rows that are walked at the same time */
#define BLOCK 64    /* rows that a tree is walked by before the next one; more where trees come from far */
#define FAR_BLOCK 512
#define NEAR (1 << 16) /* nodes that lie in a processor's own cache */
#define ON_STACK 2048

/* LightGBM's kZeroThreshold, a float: anything nearer to zero is zero. */
static const double ZERO = 1.0000000180025095e-35;
enum { LEAF = 65535, IN_PLACE = 65534, MOST_RANK = 65533 };
enum { IDENTITY, SQUARE, EXP, SIGMOID, SOFTMAX, LOG1P_EXP };

typedef struct { uint16_t slot, rank; uint32_t child; } node_t;
typedef struct lanes lanes_t;

typedef struct {
    /* How many there are. */
    uint64_t features, trees, nodes, outputs, thresholds, slots, tables, cells, sets, words, node_sets, terms, linears, books;
    const node_t *node;
    const double *value;             /* by node; or where there are books */
    const uint16_t *code;            /* by node: which of */
    const double *book;              /* the values that leaves have */
    const uint32_t *leaf, *cover;    /* by node */
    const uint32_t *tree;            /* by tree, and the end: its first node */
    const double *threshold;
    const uint32_t *threshold_offset;                                   /* by feature, and the end */
    const uint32_t *slot_feature, *slot_first, *slot_zero, *slot_nan;   /* by slot of a number */
    const uint32_t *table_feature, *table_slot, *table_slots, *table_codes, *table_offset;
    const uint8_t *table_cell;
    const uint32_t *set_offset, *set_word, *node_set;
    const uint32_t *linear_offset, *linear_feature;                     /* by node, and the end; by term */
    const double *linear_weight, *linear_plain;                         /* by term; by node */
    uint32_t *depth;                 /* by tree; check() writes it */
    uint64_t all_slots;              /* those of numbers and those of tables */
    double slope, divisor;
    double (*exp)(double), (*log1p)(double);
    lanes_t *lanes;                  /* NULL where trees are walked */
    uint32_t link, processor;        /* vectors that there are: check() writes it */
} forest_t;

/* What the caller compares with its own idea of forest_t. */
EXPORT const uint32_t forest_size = sizeof(forest_t);

/* The widest vectors that this processor and its system have: 0 none that are used here, 1 of 16 bytes, 2 of 32 (AVX2), 3 also AVX-512's masks and
 * look-ups (Intel 64 and IA-32 Architectures Software Developer's Manual, CPUID). Compilers' own way answers nothing in what zig links. */
static uint32_t vectors(void) {
#if defined(__x86_64__)
    /* By leaf and register: 1 ecx; 7 ebx: BMI, AVX2 and BMI2, AVX-512 F, BW and VL; 7 ecx. */
    const uint32_t ssse3 = 1u << 9, popcnt = 1u << 23, osxsave = 1u << 27;
    const uint32_t avx2 = 1u << 3 | 1u << 5 | 1u << 8, avx512 = 1u << 16 | 1u << 30 | 1u << 31, vbmi = 1u << 1;
    uint32_t a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & ssse3)) return 0;
    if (!(c & osxsave) || !(c & popcnt) || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 1;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((b & avx2) != avx2 || (low & 6) != 6) return 1;
    return (b & avx512) == avx512 && (c & vbmi) && (low & 0xe6) == 0xe6 ? 3 : 2;
#elif defined(__aarch64__)
    return 1;
#else
    return 0;
#endif
}

/* ---- Checking ---------------------------------------------------------------------------------------------- */

INLINE int rises(const uint32_t *offset, uint64_t count, uint64_t end) {
    if (offset[0] != 0 || offset[count] != end) return 0;
    for (uint64_t i = 0; i < count; i++)
        if (offset[i] > offset[i + 1]) return 0;
    return 1;
}

INLINE int all_finite(const double *numbers, uint64_t count) {
    for (uint64_t i = 0; i < count; i++)
        if (!isfinite(numbers[i])) return 0;
    return 1;
}

INLINE int all_below(const uint32_t *numbers, uint64_t count, uint64_t end) {
    for (uint64_t i = 0; i < count; i++)
        if (numbers[i] >= end) return 0;
    return 1;
}

/* Look at every number that is used as an index. Gives 0, or the number of the rule in forest.py that is broken. */
EXPORT int check(forest_t *f) {
    if (!rises(f->tree, f->trees, f->nodes)) return 1;
    if (!rises(f->threshold_offset, f->features, f->thresholds)) return 2;
    for (uint64_t j = 0; j < f->features; j++)
        for (uint64_t i = f->threshold_offset[j]; i < f->threshold_offset[j + 1]; i++)
            if (f->threshold[i] != f->threshold[i] || (i > f->threshold_offset[j] && f->threshold[i - 1] >= f->threshold[i])) return 3;
    if (!all_finite(f->value, f->books ? 0 : f->nodes) || !all_finite(f->book, f->books) || !all_finite(f->linear_weight, f->terms) || !all_finite(f->linear_plain, f->linears))
        return 4;
    if (!all_below(f->slot_feature, f->slots, f->features) || !all_below(f->slot_zero, f->slots, 65536) ||
        !all_below(f->slot_nan, f->slots, 65536)) return 5;
    uint64_t slots = f->slots;
    f->processor = vectors();
    for (uint64_t i = 0; i < f->tables; i++) {
        uint64_t cells = ((uint64_t)f->table_codes[i] + 1) * f->table_slots[i];
        if (f->table_feature[i] >= f->features || f->table_slot[i] != slots || !f->table_slots[i] ||
            f->table_codes[i] > 65536 || f->table_slots[i] > 65536 ||
            f->table_offset[i] > f->cells || cells > f->cells - f->table_offset[i]) return 6;
        slots += f->table_slots[i];
        if (slots > 65536) return 6;
    }
    if (slots != f->all_slots || slots < 1 || slots > 65536) return 6;
    if (!rises(f->set_offset, f->sets, f->words) || !all_below(f->node_set, f->node_sets, f->sets)) return 7;
    if (f->linears && (!rises(f->linear_offset, f->nodes, f->terms) || !all_below(f->linear_feature, f->terms, f->features)))
        return 8;
    for (uint64_t t = 0; t < f->trees; t++) {
        uint64_t first = f->tree[t], last = f->tree[t + 1], next = first + 1, level = first + 1;
        uint32_t depth = 0;
        if (first == last) return 9;
        /* Children come in the order of their parents: so each is reached once, after its parent, and levels lie in turn. */
        for (uint64_t i = first; i < last; i++) {
            node_t n = f->node[i];
            if (i == level) {
                depth++;
                level = next;
            }
            if (n.slot >= slots) return 10;
            if (n.child == i) {
                if (n.rank != LEAF) return 11;
            } else {
                if (n.child != next || next + 2 > last || n.rank == LEAF) return 11;
                if (n.rank == IN_PLACE && (!f->node_sets || n.slot >= f->slots)) return 7;
                next += 2;
            }
        }
        if (next != last) return 11;
        f->depth[t] = depth;
    }
    for (uint64_t i = 0; f->books && i < f->nodes; i++)
        if (f->code[i] >= f->books) return 12;
    return 0;
}

/* ---- From a row to slots ------------------------------------------------------------------------------------- */

/* Count the rising numbers that are below a value; no branch depends on them. */
INLINE uint32_t count_below(const double *numbers, uint32_t count, double value) {
    const double *base = numbers;
    while (count > 1) {
        uint32_t half = count / 2;
        base += half & -(uint32_t)(base[half - 1] < value);
        count -= half;
    }
    return (uint32_t)(base - numbers) + (count && *base < value);
}

INLINE void fill_slots(const forest_t *f, const double *row, uint16_t *slots) {
    for (uint64_t s = 0; s < f->slots;) {
        uint32_t feature = f->slot_feature[s], first = f->threshold_offset[feature];
        double value = row[feature];
        uint32_t rank = count_below(f->threshold + first, f->threshold_offset[feature + 1] - first, value);
        int is_nan = value != value, is_zero = fabs(value) <= ZERO;
        do {
            uint32_t low = f->slot_first[s], above = rank > low ? rank - low : 0;
            above = above < MOST_RANK ? above : MOST_RANK;
            above = is_zero ? f->slot_zero[s] : above;
            slots[s] = (uint16_t)(is_nan ? f->slot_nan[s] : above);
        } while (++s < f->slots && f->slot_feature[s] == feature);
    }
    for (uint64_t i = 0; i < f->tables; i++) {
        double value = row[f->table_feature[i]];
        uint32_t codes = f->table_codes[i], count = f->table_slots[i];
        uint32_t code = value > -1.0 && value < codes ? (uint32_t)value : codes;
        const uint8_t *cell = f->table_cell + f->table_offset[i] + (uint64_t)code * count;
        uint16_t *to = slots + f->table_slot[i];
        for (uint32_t s = 0; s < count; s++) to[s] = cell[s];
    }
}

INLINE uint32_t outside_set(const forest_t *f, uint64_t at, double value) {
    if (!(value > -1.0 && value < 2147483648.0)) return 1;
    uint32_t set = f->node_set[at], code = (uint32_t)value;
    uint64_t word = (uint64_t)f->set_offset[set] + (code >> 5);
    return word >= f->set_offset[set + 1] || !(f->set_word[word] >> (code & 31) & 1);
}

INLINE uint32_t goes_right(const forest_t *f, const double *row, const uint16_t *slots, uint32_t at, int sets) {
    node_t n = f->node[at];
    uint32_t right = slots[n.slot] > n.rank;
    if (sets && n.rank == IN_PLACE) right = outside_set(f, at, row[f->slot_feature[n.slot]]);
    return right;
}

INLINE uint32_t step(const forest_t *f, const double *row, const uint16_t *slots, uint32_t at, int sets) {
    return f->node[at].child + goes_right(f, row, slots, at, sets);
}

/* ---- Scores -------------------------------------------------------------------------------------------------- */

INLINE double value_of(const forest_t *f, uint64_t at) { return f->books ? f->book[f->code[at]] : f->value[at]; }

#include "lanes.h"

INLINE double leaf_value(const forest_t *f, const double *row, uint32_t at) {
    double total = value_of(f, at);
    if (!f->linears) return total;
    for (uint32_t i = f->linear_offset[at]; i < f->linear_offset[at + 1]; i++) {
        double value = row[f->linear_feature[i]];
        value = fabs(value) <= ZERO ? 0.0 : value;
        if (value != value) return f->linear_plain[at];
        total += f->linear_weight[i] * value;
    }
    return total;
}

INLINE void walk_trees(const forest_t *f, const double *row, const uint16_t *slots, double *total, uint32_t *leaves, int sets) {
    uint64_t t = 0, outputs = f->outputs, output = 0;
    while (t < f->trees) {
        uint32_t at[WALKS], depth = 0;
        int count = f->trees - t < WALKS ? (int)(f->trees - t) : WALKS;
        for (int i = 0; i < WALKS; i++) {
            uint64_t tree = t + (i < count ? i : 0);
            at[i] = f->tree[tree];
            depth = f->depth[tree] > depth ? f->depth[tree] : depth;
        }
        for (; depth; depth--)
            for (int i = 0; i < WALKS; i++) at[i] = step(f, row, slots, at[i], sets);
        for (int i = 0; i < count; i++) {
            if (leaves) leaves[t + i] = f->leaf[at[i]];
            total[output] += leaf_value(f, row, at[i]);
            output = output + 1 == outputs ? 0 : output + 1;
        }
        t += count;
    }
}

/* Walk WALKS rows down a tree at the same time; the rows beyond `here` walk as the first does, for nothing. */
INLINE void walk_group(const forest_t *f, const double *rows, const uint16_t *slots, uint64_t tree, int here, double *total,
                       int sets) {
    uint32_t at[WALKS];
    uint64_t features = f->features, stride = f->all_slots;
    for (int i = 0; i < WALKS; i++) at[i] = f->tree[tree];
    for (uint32_t d = f->depth[tree]; d; d--)
        for (int i = 0; i < WALKS; i++) {
            uint64_t row = i < here ? i : 0;
            at[i] = step(f, rows + row * features, slots + row * stride, at[i], sets);
        }
    for (int i = 0; i < here; i++) total[i * f->outputs] += leaf_value(f, rows + i * features, at[i]);
}

INLINE void walk_rows(const forest_t *f, const double *rows, const uint16_t *slots, uint64_t count, double *total, int sets) {
    uint64_t whole = count / WALKS * WALKS;
    for (uint64_t t = 0; t < f->trees; t++) {
        double *to = total + t % f->outputs;
        for (uint64_t r = 0; r < whole; r += WALKS)
            walk_group(f, rows + r * f->features, slots + r * f->all_slots, t, WALKS, to + r * f->outputs, sets);
        if (whole < count)
            walk_group(f, rows + whole * f->features, slots + whole * f->all_slots, t, (int)(count - whole),
                       to + whole * f->outputs, sets);
    }
}

/* Turn raw scores into what Booster.predict gives: ConvertOutput of LightGBM's objectives (src/objective). */
static void convert(const forest_t *f, double *score) {
    uint64_t outputs = f->outputs;
    if (f->divisor != 1.0)
        for (uint64_t k = 0; k < outputs; k++) score[k] /= f->divisor;
    if (f->link == SOFTMAX) {
        double most = score[0], sum = 0.0;
        for (uint64_t k = 1; k < outputs; k++) most = score[k] > most ? score[k] : most;
        for (uint64_t k = 0; k < outputs; k++) sum += score[k] = f->exp(score[k] - most);
        for (uint64_t k = 0; k < outputs; k++) score[k] /= sum;
        return;
    }
    for (uint64_t k = 0; k < outputs; k++) {
        double raw = score[k];
        switch (f->link) {
        case SQUARE: score[k] = ((raw > 0) - (raw < 0)) * raw * raw; break;
        case EXP: score[k] = f->exp(raw); break;
        case SIGMOID: score[k] = 1.0 / (1.0 + f->exp(-f->slope * raw)); break;
        case LOG1P_EXP: score[k] = f->log1p(f->exp(raw)); break;
        default: break;
        }
    }
}

/* Arrange a checked forest for lanes, of at most `most` as vectors() counts; returns those that it got: 0, where it walks. */
EXPORT uint32_t arrange(forest_t *f, uint32_t most) {
    uint32_t found = f->processor < most ? f->processor : most;
    f->lanes = found ? make_lanes(f, EVALUATORS[found]) : NULL;
    return f->lanes ? found : 0;
}

EXPORT void dismiss(forest_t *f) { free(f->lanes); }

/* Not the exported function, which another library's of the same name could stand in for. */
static int predict_rows(const forest_t *f, const double *rows, uint64_t count, int raw, double *scores) {
    memset(scores, 0, count * f->outputs * sizeof *scores);
    if (f->lanes) {
        if (f->lanes->rows(f, rows, count, scores, NULL)) return 1;
        for (uint64_t i = 0; i < count && !raw; i++) convert(f, scores + i * f->outputs);
        return 0;
    }
    uint16_t few[ON_STACK], *slots = few;
    uint64_t most = f->nodes > NEAR ? FAR_BLOCK : BLOCK, block = count < most ? count : most;
    if (f->all_slots * block > ON_STACK && !(slots = malloc(f->all_slots * block * sizeof *slots))) return 1;
    for (uint64_t r = 0; r < count; r += block) {
        const double *these = rows + r * f->features;
        double *total = scores + r * f->outputs;
        uint64_t here = count - r < block ? count - r : block;
        for (uint64_t i = 0; i < here; i++) fill_slots(f, these + i * f->features, slots + i * f->all_slots);
        if (here < WALKS / 2) {
            for (uint64_t i = 0; i < here; i++) {
                const double *row = these + i * f->features;
                if (f->node_sets) walk_trees(f, row, slots + i * f->all_slots, total + i * f->outputs, NULL, 1);
                else walk_trees(f, row, slots + i * f->all_slots, total + i * f->outputs, NULL, 0);
            }
        } else if (f->node_sets) walk_rows(f, these, slots, here, total, 1);
        else walk_rows(f, these, slots, here, total, 0);
        if (!raw)
            for (uint64_t i = 0; i < here; i++) convert(f, total + i * f->outputs);
    }
    if (slots != few) free(slots);
    return 0;
}

/* Score rows, shape (count, features), to shape (count, outputs): raw scores, or what the objective makes of them.
 * Gives 0, or 1 when there is no memory. */
EXPORT int predict(const forest_t *f, const double *rows, uint64_t count, int raw, double *scores) {
    return predict_rows(f, rows, count, raw, scores);
}

/* Score one row of a model with one output; NaN when there is no memory. */
EXPORT double score(const forest_t *f, const double *row) {
    double found;
    return predict_rows(f, row, 1, 0, &found) ? NAN : found;
}

/* Find the leaf of each row in each tree, shape (count, trees). Gives 0, or 1 when there is no memory. */
EXPORT int leaves(const forest_t *f, const double *rows, uint64_t count, const void *nothing, uint32_t *found) {
    (void)nothing;
    if (f->lanes) return f->lanes->rows(f, rows, count, NULL, found);
    uint16_t *slots = malloc(f->all_slots * sizeof *slots);
    double *total = calloc(f->outputs, sizeof *total);
    if (slots && total)
        for (uint64_t r = 0; r < count; r++) {
            const double *row = rows + r * f->features;
            fill_slots(f, row, slots);
            walk_trees(f, row, slots, total, found + r * f->trees, 1);
        }
    int failed = !slots || !total;
    free(slots);
    free(total);
    return failed;
}

#include "profile.h"
#include "shapley.h"
