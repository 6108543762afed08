/* Trees of up to 256 leaves, evaluated without walking: every split of a tree is tried, for a tile of rows or a group of trees.
 *
 * Number a tree's leaves from left to right. A row's place is the first leaf that it can still reach. Once all splits above it are
 * done, only rows that reach a split have the first leaf below it as their place; those that go right move on by the leaves below
 * its left child:
 *         place += (place == first & code > rank) & left
 * No branch and no address depends on the data, and bytes are enough for everything. A code is a slot as a byte, less 128, so that it is
 * signed: 254 thresholds at most. Lanes of a vector are rows, each split of a tree in turn; or, for a few rows, they are trees, each row in turn.
 *
 * The file includes itself once for each kind of processor, with WIDTH bytes in a VECTOR. forest.py's walk is the referee of both.
 */
#ifndef WIDTH
enum {
    ALONE = 16,         /* up to so many rows are scored one by one, with trees in the lanes */
    GROUP = 64,         /* trees of a group, whose halves lie apart */
    HALF = GROUP / 2,
    LOOKED_UP = 127,    /* codes that a look-up finds, and one more that always goes right */
    PLANES = 1 << 20,   /* bytes that may hold sets for trees in lanes */
    TOGETHER = 4,       /* trees whose leaves are added in one go */
    EIGHT = 8,          /* leaves whose values fit into vectors; and rows that they are added to in one go */
    CHUNK = 64,         /* features whose cells are found in one go */
    MISSING = 127, IS_ZERO = 126,
};

typedef struct { uint16_t column; int8_t rank; uint8_t first, left; } lane_split_t;
typedef struct { uint8_t inside[32]; uint16_t category, high; } lane_set_t; /* the categories that go left; high: some are beyond 127 */
typedef struct { uint8_t column[HALF]; int8_t rank[HALF]; uint8_t first[HALF], left[HALF]; } lane_group_t;

typedef int rows_in_lanes(const forest_t *, const double *, uint64_t, double *, uint32_t *);

struct lanes {
    rows_in_lanes *rows;
    uint64_t categories, most_sets, most_leaves, positions, planes;
    int zeros, special;                 /* some zeros have a code of their own; that, or a grid with more than even cells of up to four */
    lane_split_t *split;                /* by split, trees in turn, parents first */
    lane_set_t *set;
    uint32_t *first_set;                /* by tree, and the end */
    double *value;                      /* by leaf, trees in turn, from left to right; and which node of its tree it is */
    uint16_t *node;
    double *low, *scale, *most;         /* by feature: the grid over its thresholds */
    uint8_t *logarithmic;
    int32_t *first_cell;                /* by feature; */
    uint8_t *cell;                      /* how many thresholds lie in those before; two more, for missing values and for zeros */
    uint16_t *half;                     /* by feature: of the thresholds to search in a cell, where they are more than four */
    double *threshold;                  /* of each feature, and infinite ones, so that one may look beyond */
    uint32_t *first_threshold;
    int8_t *zero, *missing;             /* by slot */
    uint32_t *category_feature, *codes; /* by feature with categories; the last code stands for all unknown ones */
    lane_group_t *group;                /* by position in the trees of half a group, halves and groups in turn */
    uint32_t *first_position;           /* by group, and the end */
    uint8_t *plane;                     /* by byte of the categories' sets: that byte for each position's lanes, 0 for other splits */
    uint32_t *first_plane;              /* by feature with categories */
};

INLINE int8_t code_of(uint64_t slot) { return (int8_t)((slot < 255 ? slot : 255) - 128); }

/* What rises with a double as its logarithm does: sign, exponent and the first bits of the fraction. */
INLINE double logarithm(double value) {
    int64_t bits;
    memcpy(&bits, &value, sizeof bits);
    int32_t upper = (int32_t)(bits >> 32);
    return upper ^ ((upper >> 31) & INT32_MAX);
}

/* The cell of a grid: rounding keeps order, so what is below in cells is below in value. */
INLINE double cell_of(double value, double low, double scale, double most) {
    double x = (value - low) * scale;
    x = x > 0.0 ? x : 0.0;
    return x < most ? x : most;
}

/* Try a grid over finite rising thresholds: two cells for each. Gives the most thresholds in a cell. */
static uint32_t lay_grid(lanes_t *l, uint64_t j, const double *t, uint32_t count, int logarithmic, uint16_t *in_cell) {
    uint32_t cells = count ? 2 * count : 1, most = 0;
    double first = !count ? 0.0 : logarithmic ? logarithm(t[0]) : t[0], span = 0.0;
    if (count) span = (logarithmic ? logarithm(t[count - 1]) : t[count - 1]) - first;
    double scale = span > 0.0 ? (cells - 1) / span : 1.0;
    l->low[j] = first, l->scale[j] = scale < 1e300 ? scale : 1e300, l->most[j] = cells - 1, l->logarithmic[j] = (uint8_t)logarithmic;
    memset(in_cell, 0, cells * sizeof *in_cell);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = (uint32_t)cell_of(logarithmic ? logarithm(t[i]) : t[i], first, l->scale[j], l->most[j]);
        if (++in_cell[at] > most) most = in_cell[at];
    }
    return most;
}

/* The grids of all features, by even cells, or where these hold more than four thresholds and others would fewer, by logarithmic ones. */
static void make_grids(const forest_t *f, lanes_t *l) {
    uint32_t cells = 0, thresholds = 0;
    for (uint64_t j = 0; j < f->features; j++) {
        uint32_t count = f->threshold_offset[j + 1] - f->threshold_offset[j], finite = 0, before = 0, half = 0;
        double *t = l->threshold + thresholds;
        uint8_t *cell = l->cell + cells;
        uint16_t in_cell[512];
        for (uint32_t i = 0; i < count; i++) {
            double value = f->threshold[f->threshold_offset[j] + i];
            /* A value that is as near to zero as this one is a zero, and above it. */
            t[i] = value == -ZERO ? nextafter(value, -1.0) : value;
            finite += isfinite(value) != 0;
        }
        uint32_t most = lay_grid(l, j, t, finite, 0, in_cell);
        if (most > 4) {
            uint32_t other = lay_grid(l, j, t, finite, 1, in_cell);
            most = other < most ? other : lay_grid(l, j, t, finite, 0, in_cell);
        }
        if (most > 4)
            for (half = 4; 2 * half <= most;) half *= 2;
        l->half[j] = (uint16_t)half;
        l->special |= half || l->logarithmic[j];
        l->first_cell[j] = (int32_t)cells;
        l->first_threshold[j] = thresholds;
        uint32_t all = (uint32_t)l->most[j] + 1;
        for (uint32_t i = 0; i < all; before += in_cell[i++]) cell[i] = (uint8_t)before;
        cell[all] = 255, cell[all + 1] = 254;
        for (uint32_t i = count; i < count + 2 * half + 4; i++) t[i] = INFINITY;
        cells += all + 2, thresholds += count + 2 * half + 4;
    }
}

INLINE uint32_t table_of(const forest_t *f, uint32_t slot) {
    uint32_t i = (uint32_t)f->tables - 1;
    while (f->table_slot[i] > slot) i--;
    return i;
}

/* Which of a split's categories go left, of the first 256; `number` counts the features with categories. */
static void make_set(const forest_t *f, uint32_t at, lane_set_t *set, const uint32_t *number) {
    node_t n = f->node[at];
    uint32_t table = n.rank == IN_PLACE ? 0 : table_of(f, n.slot);
    uint32_t feature = n.rank == IN_PLACE ? f->slot_feature[n.slot] : f->table_feature[table];
    memset(set, 0, sizeof *set);
    set->category = (uint16_t)number[feature];
    for (uint32_t code = 0; code < 256; code++) {
        uint32_t inside;
        if (n.rank == IN_PLACE) inside = !outside_set(f, at, code);
        else {
            uint32_t known = code < f->table_codes[table] ? code : f->table_codes[table];
            inside = f->table_cell[f->table_offset[table] + (uint64_t)known * f->table_slots[table] + n.slot - f->table_slot[table]] <= n.rank;
        }
        set->inside[code >> 3] |= (uint8_t)(inside << (code & 7));
    }
    for (int i = 16; i < 32; i++) set->high |= set->inside[i];
}

/* The splits of a tree, and its leaves from left to right. */
static void make_tree(const forest_t *f, lanes_t *l, uint64_t t, uint32_t *sets, const uint32_t *number) {
    uint32_t root = f->tree[t], nodes = f->tree[t + 1] - root, own = 0;
    uint16_t size[511], first[511];
    lane_split_t *split = l->split + (root - t) / 2;
    uint64_t leaf = (root + t) / 2;
    for (uint32_t i = nodes; i-- > 0;) {
        uint32_t child = f->node[root + i].child - root;
        size[i] = child == i ? 1 : size[child] + size[child + 1];
    }
    first[0] = 0;
    for (uint32_t i = 0; i < nodes; i++) {
        node_t n = f->node[root + i];
        uint32_t child = n.child - root;
        if (child == i) {
            l->value[leaf + first[i]] = value_of(f, root + i);
            l->node[leaf + first[i]] = (uint16_t)i;
            continue;
        }
        first[child] = first[i], first[child + 1] = first[i] + size[child];
        *split = (lane_split_t){n.slot, code_of(n.rank), (uint8_t)first[i], (uint8_t)size[child]};
        if (n.slot >= f->slots || n.rank == IN_PLACE) {
            make_set(f, root + i, l->set + *sets, number);
            /* The set's own column has 0 for what goes right, and -1. */
            *split = (lane_split_t){(uint16_t)(f->slots + 3 * l->categories + own++), -1, split->first, split->left};
            ++*sets;
        }
        split++;
    }
    l->first_set[t + 1] = *sets;
}

/* The most splits of a tree of the group that begins with tree t. */
INLINE uint32_t most_splits(const forest_t *f, uint64_t t) {
    uint32_t most = 0;
    for (uint64_t end = t + GROUP < f->trees ? t + GROUP : f->trees; t < end; t++)
        if ((f->tree[t + 1] - f->tree[t]) / 2 > most) most = (f->tree[t + 1] - f->tree[t]) / 2;
    return most;
}

/* The same splits for trees in lanes. */
static void make_groups(const forest_t *f, lanes_t *l) {
    memset(l->plane, 0, l->planes * l->positions * GROUP);
    for (uint64_t t = 0; t < f->trees; t++) {
        uint64_t lane = t % GROUP, splits = (f->tree[t + 1] - f->tree[t]) / 2;
        const lane_set_t *set = l->set + l->first_set[t];
        const lane_split_t *split = l->split + (f->tree[t] - t) / 2;
        uint64_t at = l->first_position[t / GROUP], count = l->first_position[t / GROUP + 1] - at, place = lane % HALF;
        for (uint64_t i = 0; i < count; i++) {
            lane_group_t *to = l->group + 2 * at + lane / HALF * count + i;
            lane_split_t s = i < splits ? split[i] : (lane_split_t){0, 127, 0, 0};
            int in_set = i < splits && s.column >= f->slots;
            to->column[place] = (uint8_t)(in_set ? f->slots : s.column), to->rank[place] = in_set ? 0 : s.rank;
            to->first[place] = s.first, to->left[place] = s.left;
            if (!in_set) continue;
            uint64_t plane = l->first_plane[set->category], planes = l->codes[set->category] / 8 + 1;
            for (uint64_t k = 0; k < planes; k++) l->plane[((plane + k) * l->positions + at + i) * GROUP + lane] = set->inside[k];
            set++;
        }
    }
}

INLINE uint32_t codes_of_set(const forest_t *f, uint32_t set) {
    uint32_t words = f->set_offset[set + 1] - f->set_offset[set], code = 32 * words;
    while (code && !(f->set_word[f->set_offset[set] + (code - 1) / 32] >> ((code - 1) & 31) & 1)) code--;
    return code;
}

/* Whether bytes are enough for a forest. Counts what room it takes; `codes` of each feature are at first 0. */
static int suits(const forest_t *f, lanes_t *l, uint32_t *codes, uint64_t *sets) {
    if (f->linears) return 0;
    for (uint64_t s = 0; s < f->slots; s++) {
        const double *t = f->threshold + f->threshold_offset[f->slot_feature[s]], *end = f->threshold + f->threshold_offset[f->slot_feature[s] + 1];
        uint32_t below = 0;
        if (f->slot_first[s]) return 0;
        for (; t < end && *t < ZERO; t++) {
            below += *t <= -ZERO;
            l->zeros |= *t > -ZERO;
        }
        l->zeros |= f->slot_zero[s] != below;
    }
    for (uint64_t j = 0; j < f->features; j++) {
        uint32_t first = f->threshold_offset[j], count = f->threshold_offset[j + 1] - first;
        if (count > (l->zeros ? 253 : 254) || (count && f->threshold[first] == -INFINITY)) return 0;
    }
    for (uint64_t i = 0; i < f->tables; i++)
        if (codes[f->table_feature[i]] <= f->table_codes[i]) codes[f->table_feature[i]] = f->table_codes[i] + 1;
    for (uint64_t t = 0; t < f->trees; t++) {
        uint64_t own = *sets;
        uint64_t leaves = (f->tree[t + 1] - f->tree[t] + 1) / 2;
        if (leaves > 256) return 0;
        if (leaves > l->most_leaves) l->most_leaves = leaves;
        for (uint32_t i = f->tree[t]; i < f->tree[t + 1]; i++) {
            node_t n = f->node[i];
            if (n.child == i) continue;
            if (n.slot >= f->slots) ++*sets;
            else if (n.rank == IN_PLACE) {
                uint32_t *known = codes + f->slot_feature[n.slot], these = codes_of_set(f, f->node_set[i]);
                if (*known <= these) *known = these + 1;
                ++*sets;
            } else if (n.rank > 254) return 0;
        }
        if (*sets - own > l->most_sets) l->most_sets = *sets - own;
    }
    for (uint64_t j = 0; j < f->features; j++) {
        if (codes[j] > 256) return 0;
        l->categories += codes[j] > 0;
        l->planes += codes[j] ? (codes[j] - 1) / 8 + 1 : 0;
    }
    for (uint64_t t = 0; t < f->trees && f->slots < LOOKED_UP; t += GROUP) l->positions += most_splits(f, t);
    if (l->planes * l->positions * GROUP > PLANES || l->categories > LOOKED_UP) l->positions = 0;
    return f->slots + 3 * l->categories + l->most_sets < 65536;
}

/* Give each array its room from `at` on, and say where the last one ends. */
static uintptr_t lay_out(const forest_t *f, lanes_t *l, uint64_t sets, uintptr_t at) {
#define ROOM(name, count) (l->name = (void *)(at = (at + 63) / 64 * 64), at += (uint64_t)(count) * sizeof *l->name)
    uint64_t splits = (f->nodes - f->trees) / 2;
    ROOM(split, splits), ROOM(set, sets), ROOM(first_set, f->trees + 1);
    ROOM(value, splits + f->trees + EIGHT), ROOM(node, splits + f->trees);
    ROOM(low, f->features), ROOM(scale, f->features), ROOM(most, f->features), ROOM(logarithmic, f->features), ROOM(half, f->features);
    ROOM(first_cell, f->features), ROOM(cell, 2 * f->thresholds + 3 * f->features);
    /* What a missing value looks up lies up to 255 + 512 beyond. */
    ROOM(first_threshold, f->features), ROOM(threshold, 3 * f->thresholds + 4 * f->features + 768);
    ROOM(zero, f->slots), ROOM(missing, f->slots);
    ROOM(category_feature, l->categories), ROOM(codes, l->categories), ROOM(first_plane, l->categories);
    ROOM(group, 2 * l->positions), ROOM(first_position, f->trees / GROUP + 2), ROOM(plane, l->planes * l->positions * GROUP);
    return at;
#undef ROOM
}

/* Arrange a checked forest for lanes; NULL where it does not suit, or there is no memory. */
static lanes_t *make_lanes(const forest_t *f, rows_in_lanes *rows) {
    lanes_t counted = {.rows = rows}, *l = NULL;
    uint32_t *codes = calloc(f->features, sizeof *codes), sets = 0;
    uint64_t all_sets = 0;
    if (codes && suits(f, &counted, codes, &all_sets)) l = malloc(sizeof *l + lay_out(f, &counted, all_sets, 0) + 64);
    if (l) {
        *l = counted;
        lay_out(f, l, all_sets, (uintptr_t)(l + 1));
        make_grids(f, l);
        l->special |= l->zeros;
        for (uint64_t s = 0; s < f->slots; s++) l->zero[s] = code_of(f->slot_zero[s]), l->missing[s] = code_of(f->slot_nan[s]);
        for (uint32_t j = 0, i = 0, plane = 0; j < f->features; j++)
            if (codes[j]) {
                l->category_feature[i] = j, l->codes[i] = codes[j] - 1, l->first_plane[i] = plane;
                plane += (codes[j] - 1) / 8 + 1;
                codes[j] = i++;
            }
        l->first_set[0] = l->first_position[0] = 0;
        for (uint64_t t = 0; t < f->trees; t++) make_tree(f, l, t, &sets, codes);
        for (uint64_t t = 0; t < f->trees; t += GROUP)
            l->first_position[t / GROUP + 1] = l->first_position[t / GROUP] + (l->positions ? most_splits(f, t) : 0);
        if (l->positions) make_groups(f, l);
    }
    free(codes);
    return l;
}

/* A leaf, as LightGBM numbers them. */
INLINE uint32_t leaf_of(const forest_t *f, uint64_t t, uint8_t place) {
    return f->leaf[f->tree[t] + f->lanes->node[(f->tree[t] + t) / 2 + place]];
}

/* ---- For each kind of processor --------------------------------------------------------------------------------- */

typedef int8_t sixteen_t __attribute__((vector_size(16), aligned(1)));
typedef int8_t thirtytwo_t __attribute__((vector_size(32), aligned(1)));
typedef uint8_t unsigned_sixteen_t __attribute__((vector_size(16)));
typedef uint8_t unsigned_thirtytwo_t __attribute__((vector_size(32)));

#if defined(__x86_64__)
#define WIDTH 16
#define VECTOR sixteen_t
#define UNSIGNED unsigned_sixteen_t
#define PROCESSOR __attribute__((target("ssse3")))
#define FOR_PROCESSOR(name) name##_ssse3
#define LOOK_UP(table, at) ((VECTOR)_mm_shuffle_epi8((__m128i)(table), (__m128i)(at)))
#include "lanes.h"
#define AVX2
#define WIDTH 32
#define VECTOR thirtytwo_t
#define UNSIGNED unsigned_thirtytwo_t
#define PROCESSOR __attribute__((target("avx2,popcnt,bmi,bmi2")))
#define FOR_PROCESSOR(name) name##_avx2
#define LOOK_UP(table, at) ((VECTOR)_mm256_shuffle_epi8(_mm256_broadcastsi128_si256((__m128i)(table)), (__m256i)(at)))
#include "lanes.h"
#define AVX512
#define WIDTH 32
#define VECTOR thirtytwo_t
#define UNSIGNED unsigned_thirtytwo_t
#define PROCESSOR __attribute__((target("avx2,popcnt,bmi,bmi2,avx512f,avx512bw,avx512vl,avx512vbmi")))
#define FOR_PROCESSOR(name) name##_avx512
#define LOOK_UP(table, at) ((VECTOR)_mm256_shuffle_epi8(_mm256_broadcastsi128_si256((__m128i)(table)), (__m256i)(at)))
#include "lanes.h"
#elif defined(__aarch64__)
#define WIDTH 16
#define VECTOR sixteen_t
#define UNSIGNED unsigned_sixteen_t
#define PROCESSOR
#define FOR_PROCESSOR(name) name##_neon
#define LOOK_UP(table, at) ((VECTOR)vqtbl1q_s8((int8x16_t)(table), (uint8x16_t)(at)))
#include "lanes.h"
#endif

/* By vectors(). */
static rows_in_lanes *const EVALUATORS[] = {
    NULL,
#if defined(__x86_64__)
    rows_ssse3, rows_avx2, rows_avx512,
#elif defined(__aarch64__)
    rows_neon,
#endif
};

#else /* included for a kind of processor */

#define UNITS (GROUP / WIDTH)
#define VECTORS 8
/* Whether one look-up finds 64 codes. */
#ifdef AVX512
#define TWO_TABLES 1
#else
#define TWO_TABLES 0
#endif
#define FULL(byte) ((VECTOR){0} + (int8_t)(byte))
/* Sums of bytes may wrap around. */
#define PLUS(a, b) ((VECTOR)((UNSIGNED)(a) + (UNSIGNED)(b)))

/* How many of the next four thresholds are below a value. */
PROCESSOR INLINE uint64_t FOR_PROCESSOR(below_four)(const double *t, double value) {
#ifdef AVX2
    return (uint64_t)__builtin_popcount((unsigned)_mm256_movemask_pd(_mm256_cmp_pd(_mm256_loadu_pd(t), _mm256_set1_pd(value), _CMP_LT_OQ)));
#else
    return (uint64_t)((t[0] < value) + (t[1] < value) + (t[2] < value) + (t[3] < value));
#endif
}

/* A row's ranks by feature, as codes; MISSING, and where zeros are special IS_ZERO. Their cells count that many, and then they are compared as
 * NaN, which is above nothing. */
PROCESSOR INLINE void FOR_PROCESSOR(count_below)(const forest_t *f, const double *row, int8_t *rank, uint64_t stride, int special) {
    const lanes_t *l = f->lanes;
    for (uint64_t first = 0; first < f->features; first += CHUNK) {
        uint64_t count = f->features - first < CHUNK ? f->features - first : CHUNK;
        double given[CHUNK];
        int32_t cell[CHUNK];
        for (uint64_t k = 0; k < count; k++) {
            uint64_t j = first + k;
            double value = row[j], on = special && l->logarithmic[j] ? logarithm(value) : value;
            double x = cell_of(on, l->low[j], l->scale[j], l->most[j]);
            x = value == value ? x : l->most[j] + 1.0;
            given[k] = value;
            if (special) {
                int zero = l->zeros && fabs(value) <= ZERO;
                x = zero ? l->most[j] + 2.0 : x;
                given[k] = zero ? NAN : value;
            }
            cell[k] = (int32_t)x + l->first_cell[j];
        }
        for (uint64_t k = 0; k < count; k++) {
            uint64_t j = first + k, at = l->cell[cell[k]];
            const double *t = l->threshold + l->first_threshold[j];
            if (special)
                for (uint64_t half = l->half[j]; half > 2; half /= 2) at += half & -(uint64_t)(t[at + half - 1] < given[k]);
            at += FOR_PROCESSOR(below_four)(t + at, given[k]);
            rank[j * stride] = (int8_t)(at ^ 128);
        }
    }
}

PROCESSOR APART void FOR_PROCESSOR(find_ranks)(const forest_t *f, const double *row, int8_t *rank, uint64_t stride) {
    if (f->lanes->special) FOR_PROCESSOR(count_below)(f, row, rank, stride, 1);
    else FOR_PROCESSOR(count_below)(f, row, rank, stride, 0);
}

/* A category's code, as the sets of the lanes know it. */
INLINE uint32_t FOR_PROCESSOR(category)(const lanes_t *l, uint64_t i, const double *row) {
    double value = row[l->category_feature[i]];
    return value > -1.0 && value < l->codes[i] ? (uint32_t)value : l->codes[i];
}

/* A tile's columns: slots; then for each feature with categories the byte of a set that has its bit, below 128 and above, and the bit. */
PROCESSOR APART void FOR_PROCESSOR(fill)(const forest_t *f, const double *rows, uint64_t count, int8_t *column, int8_t *rank, uint64_t stride) {
    const lanes_t *l = f->lanes;
    for (uint64_t r = 0; r < count; r++) FOR_PROCESSOR(find_ranks)(f, rows + r * f->features, rank + r, stride);
    for (uint64_t s = 0; s < f->slots; s++) {
        const VECTOR *from = (const VECTOR *)(rank + f->slot_feature[s] * stride);
        VECTOR *to = (VECTOR *)(column + s * stride), missing = FULL(l->missing[s]), zero = FULL(l->zero[s]), some = FULL(l->zeros ? -1 : 0);
        for (uint64_t v = 0; v * WIDTH < count; v++) {
            VECTOR is_missing = from[v] == MISSING, is_zero = (from[v] == IS_ZERO) & some;
            to[v] = (is_missing & missing) | (is_zero & zero) | (~(is_missing | is_zero) & from[v]);
        }
    }
    for (uint64_t i = 0; i < l->categories; i++)
        for (uint64_t r = 0; r < count; r++) {
            uint32_t code = FOR_PROCESSOR(category)(l, i, rows + r * f->features);
            int8_t *to = column + (f->slots + 3 * i) * stride + r;
            to[0] = (int8_t)(code < 128 ? code >> 3 : 128);
            to[stride] = (int8_t)(code < 128 ? 128 : (code >> 3) - 16);
            to[2 * stride] = (int8_t)(1 << (code & 7));
        }
}

/* The columns of a tree's sets: -1 where a row's category is inside, else 0. */
PROCESSOR APART void FOR_PROCESSOR(find_sets)(const forest_t *f, uint64_t tree, int8_t *column, uint64_t stride, int vectors) {
    const lanes_t *l = f->lanes;
    int8_t *to = column + (f->slots + 3 * l->categories) * stride;
    for (const lane_set_t *s = l->set + l->first_set[tree], *end = l->set + l->first_set[tree + 1]; s < end; s++, to += stride) {
        const int8_t *at = column + (f->slots + 3 * s->category) * stride;
        const sixteen_t low = *(const sixteen_t *)s->inside, high = *(const sixteen_t *)(s->inside + 16);
        for (int v = 0; v < vectors; v++) {
            VECTOR byte = LOOK_UP(low, ((const VECTOR *)at)[v]);
            if (s->high) byte |= LOOK_UP(high, ((const VECTOR *)(at + stride))[v]);
            ((VECTOR *)to)[v] = (byte & ((const VECTOR *)(at + 2 * stride))[v]) != 0;
        }
    }
}

/* What a split adds to a place. */
PROCESSOR INLINE VECTOR FOR_PROCESSOR(moved)(VECTOR place, VECTOR first, VECTOR code, VECTOR rank, VECTOR left) {
#ifdef AVX512
    return (VECTOR)_mm256_ternarylogic_epi64((__m256i)(place == first), (__m256i)(code > rank), (__m256i)left, 0x80);
#else
    return (place == first) & (code > rank) & left;
#endif
}

PROCESSOR INLINE void FOR_PROCESSOR(find_places)(const forest_t *f, uint64_t tree, const int8_t *column, uint64_t stride, uint8_t *place, int vectors) {
    const lane_split_t *s = f->lanes->split + (f->tree[tree] - tree) / 2, *end = f->lanes->split + (f->tree[tree + 1] - tree) / 2;
    VECTOR p[VECTORS];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) p[v] = FULL(0);
    for (; s < end; s++) {
        const VECTOR *code = (const VECTOR *)(column + s->column * stride);
        VECTOR first = FULL(s->first), left = FULL(s->left), rank = FULL(s->rank);
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) p[v] = PLUS(p[v], FOR_PROCESSOR(moved)(p[v], first, code[v], rank, left));
    }
#pragma GCC unroll 8
    for (int v = 0; v < vectors; v++) ((VECTOR *)place)[v] = p[v];
}

#ifdef AVX2
/* Add the leaves of trees that have up to eight: their values lie in vectors, as halves of 32 bits. Returns how many rows were done. */
PROCESSOR INLINE uint64_t FOR_PROCESSOR(add_eight)(const double *const *value, uint8_t (*place)[VECTORS * WIDTH], uint64_t count, double *score) {
    __m256i low[TOGETHER], high[TOGETHER];
    uint64_t r = 0;
    for (int i = 0; i < TOGETHER; i++) {
        __m256i a = _mm256_loadu_si256((const __m256i *)value[i]), b = _mm256_loadu_si256((const __m256i *)(value[i] + 4));
        low[i] = _mm256_permute4x64_epi64((__m256i)_mm256_shuffle_ps((__m256)a, (__m256)b, 0x88), 0xd8);
        high[i] = _mm256_permute4x64_epi64((__m256i)_mm256_shuffle_ps((__m256)a, (__m256)b, 0xdd), 0xd8);
    }
    for (; r + EIGHT <= count; r += EIGHT) {
        __m256d four = _mm256_loadu_pd(score + r), next = _mm256_loadu_pd(score + r + 4);
        for (int i = 0; i < TOGETHER; i++) {
            __m256i at = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(place[i] + r)));
            __m256i l = _mm256_permutevar8x32_epi32(low[i], at), h = _mm256_permutevar8x32_epi32(high[i], at);
            __m256d a = (__m256d)_mm256_unpacklo_epi32(l, h), b = (__m256d)_mm256_unpackhi_epi32(l, h);
            four += _mm256_permute2f128_pd(a, b, 0x20), next += _mm256_permute2f128_pd(a, b, 0x31);
        }
        _mm256_storeu_pd(score + r, four), _mm256_storeu_pd(score + r + 4, next);
    }
    return r;
}
#endif

/* Add the leaves of some trees to scores, in model order. */
PROCESSOR APART void FOR_PROCESSOR(add_leaves)(const forest_t *f, uint64_t t, int trees, uint8_t (*place)[VECTORS * WIDTH], uint64_t count, double *score) {
    const double *value[TOGETHER] = {0};
    uint64_t r = 0;
    for (int i = 0; i < trees; i++) value[i] = f->lanes->value + (f->tree[t + i] + t + i) / 2;
    if (f->outputs > 1 || trees < TOGETHER) {
        for (int i = 0; i < trees; i++)
            for (r = 0; r < count; r++) score[r * f->outputs + (t + i) % f->outputs] += value[i][place[i][r]];
        return;
    }
#ifdef AVX2
    if (f->lanes->most_leaves <= EIGHT) r = FOR_PROCESSOR(add_eight)(value, place, count, score);
#endif
    for (; r < count; r++) {
        double total = score[r];
#pragma GCC unroll 4
        for (int i = 0; i < TOGETHER; i++) total += value[i][place[i][r]];
        score[r] = total;
    }
}

/* Evaluate a tile of rows. */
PROCESSOR APART void FOR_PROCESSOR(tile)(const forest_t *f, int8_t *column, uint64_t stride, uint64_t count, double *score, uint32_t *leaves) {
    int vectors = count <= WIDTH ? 1 : count <= 2 * WIDTH ? 2 : count <= 4 * WIDTH ? 4 : VECTORS;
    _Alignas(64) uint8_t place[TOGETHER][VECTORS * WIDTH];
    for (uint64_t t = 0; t < f->trees; t += TOGETHER) {
        int trees = f->trees - t < TOGETHER ? (int)(f->trees - t) : TOGETHER;
        for (int i = 0; i < trees; i++) {
            if (f->lanes->most_sets) FOR_PROCESSOR(find_sets)(f, t + i, column, stride, vectors);
            switch (vectors) {
            case 1: FOR_PROCESSOR(find_places)(f, t + i, column, stride, place[i], 1); break;
            case 2: FOR_PROCESSOR(find_places)(f, t + i, column, stride, place[i], 2); break;
            case 4: FOR_PROCESSOR(find_places)(f, t + i, column, stride, place[i], 4); break;
            default: FOR_PROCESSOR(find_places)(f, t + i, column, stride, place[i], VECTORS);
            }
        }
        if (leaves)
            for (int i = 0; i < trees; i++)
                for (uint64_t r = 0; r < count; r++) leaves[r * f->trees + t + i] = leaf_of(f, t + i, place[i][r]);
        else FOR_PROCESSOR(add_leaves)(f, t, trees, place, count, score);
    }
}

/* The codes that each lane's split asks for: of 32 (0), 64 (1) or more (2). */
PROCESSOR INLINE VECTOR FOR_PROCESSOR(codes_at)(const int8_t *code, VECTOR at, int many) {
#ifdef AVX512
    const __m256i *c = (const void *)code;
    __m256i low = _mm256_permutex2var_epi8(_mm256_loadu_si256(c), (__m256i)at, _mm256_loadu_si256(c + 1));
    if (many < 2) return (VECTOR)low;
    __m256i high = _mm256_permutex2var_epi8(_mm256_loadu_si256(c + 2), (__m256i)at, _mm256_loadu_si256(c + 3));
    return (VECTOR)_mm256_blendv_epi8(low, high, (__m256i)PLUS(at, at));
#else
    VECTOR found = FULL(0);
#pragma GCC unroll 8
    for (int i = 0; i < 2 << many; i++) {
        /* Those of other tables are made 128 or more, for which a look-up gives zero. */
        VECTOR here = PLUS(at, FULL(-16 * i));
#if defined(AVX2)
        here = (VECTOR)_mm256_adds_epu8((__m256i)here, _mm256_set1_epi8(112));
#elif defined(__x86_64__)
        here = (VECTOR)_mm_adds_epu8((__m128i)here, _mm_set1_epi8(112));
#endif
        found |= LOOK_UP(((const sixteen_t *)code)[i], here);
    }
    return found;
#endif
}

/* The places of a row in the trees of a group, in so many vectors; `in` are its categories' planes, and their bits. */
PROCESSOR INLINE void FOR_PROCESSOR(places_in_group)(const forest_t *f, uint64_t g, const int8_t *code, const uint8_t *const *in, const uint8_t *bit, uint8_t *place, int units, int many) {
    const lanes_t *l = f->lanes;
    VECTOR p[UNITS];
#pragma GCC unroll 4
    for (int u = 0; u < units; u++) p[u] = FULL(0);
    uint64_t begin = l->first_position[g], count = l->first_position[g + 1] - begin;
    for (uint64_t at = begin; at < begin + count; at++) {
#pragma GCC unroll 4
        for (int u = 0; u < units; u++) {
            const lane_group_t *s = l->group + begin + at + (u * WIDTH / HALF) * count;
            int v = u % (HALF / WIDTH);
            VECTOR asked = FOR_PROCESSOR(codes_at)(code, ((const VECTOR *)s->column)[v], many), inside = FULL(0);
            VECTOR first = ((const VECTOR *)s->first)[v], left = ((const VECTOR *)s->left)[v], rank = ((const VECTOR *)s->rank)[v];
            for (uint64_t i = 0; i < l->categories; i++) inside |= ((const VECTOR *)(in[i] + at * GROUP))[u] & FULL(bit[i]);
            if (l->categories) left &= inside == 0;
            p[u] = PLUS(p[u], FOR_PROCESSOR(moved)(p[u], first, asked, rank, left));
        }
    }
#pragma GCC unroll 4
    for (int u = 0; u < units; u++) ((VECTOR *)place)[u] = p[u];
}

/* The same, for as many codes as there are. */
PROCESSOR INLINE void FOR_PROCESSOR(find_group)(const forest_t *f, uint64_t g, const int8_t *code, const uint8_t *const *in, const uint8_t *bit, uint8_t *place, int units) {
    if (f->slots >= 64) FOR_PROCESSOR(places_in_group)(f, g, code, in, bit, place, units, 2);
    else if (f->slots >= 32 || TWO_TABLES) FOR_PROCESSOR(places_in_group)(f, g, code, in, bit, place, units, 1);
    else FOR_PROCESSOR(places_in_group)(f, g, code, in, bit, place, units, 0);
}

/* Evaluate a row, with trees in the lanes. */
PROCESSOR APART void FOR_PROCESSOR(alone)(const forest_t *f, const double *row, int8_t *rank, double *score, uint32_t *leaves) {
    const lanes_t *l = f->lanes;
    int8_t code[LOOKED_UP + 1];
    uint8_t place[GROUP], bit[LOOKED_UP];
    const uint8_t *in[LOOKED_UP];
    FOR_PROCESSOR(find_ranks)(f, row, rank, 1);
    for (uint64_t s = 0; s < f->slots; s++) {
        int8_t given = rank[f->slot_feature[s]], number = l->zeros && given == IS_ZERO ? l->zero[s] : given;
        code[s] = given == MISSING ? l->missing[s] : number;
    }
    code[f->slots] = 127;
    for (uint64_t i = 0; i < l->categories; i++) {
        uint32_t category = FOR_PROCESSOR(category)(l, i, row);
        in[i] = l->plane + (l->first_plane[i] + (category >> 3)) * l->positions * GROUP;
        bit[i] = (uint8_t)(1 << (category & 7));
    }
    for (uint64_t t = 0; t < f->trees; t += GROUP) {
        uint64_t count = f->trees - t < GROUP ? f->trees - t : GROUP;
        if (count <= GROUP / 2) FOR_PROCESSOR(find_group)(f, t / GROUP, code, in, bit, place, UNITS / 2);
        else FOR_PROCESSOR(find_group)(f, t / GROUP, code, in, bit, place, UNITS);
        const double *value = l->value;
        if (leaves)
            for (uint64_t i = 0; i < count; i++) leaves[t + i] = leaf_of(f, t + i, place[i]);
        else if (f->outputs > 1)
            for (uint64_t i = 0; i < count; i++) score[(t + i) % f->outputs] += value[(f->tree[t + i] + t + i) / 2 + place[i]];
        else {
            double total = score[0];
            for (uint64_t i = 0; i < count; i++) total += value[(f->tree[t + i] + t + i) / 2 + place[i]];
            score[0] = total;
        }
    }
}

/* Add raw scores of rows, shape (count, outputs), to what is there; or where there is room for them, find leaves, shape (count, trees).
 * Gives 0, or 1 when there is no memory. */
PROCESSOR static int FOR_PROCESSOR(rows)(const forest_t *f, const double *rows, uint64_t count, double *score, uint32_t *leaves) {
    const lanes_t *l = f->lanes;
    int8_t few[ON_STACK];
    int one_by_one = count <= ALONE && l->positions;
    uint64_t columns = f->slots + 3 * l->categories + l->most_sets + f->features;
    /* Of many columns, fewer rows stay in a processor's nearest cache. */
    uint64_t stride = columns > 128 ? VECTORS * WIDTH / 2 : VECTORS * WIDTH, bytes = one_by_one ? f->features : columns * stride + 63;
    int8_t *scratch = bytes <= ON_STACK ? few : malloc(bytes), *column = (int8_t *)(((uintptr_t)scratch + 63) / 64 * 64);
    if (!scratch) return 1;
    if (!one_by_one) memset(scratch, 0, bytes);
    for (uint64_t r = 0, here; r < count; r += here) {
        const double *these = rows + r * f->features;
        double *to = leaves ? NULL : score + r * f->outputs;
        uint32_t *found = leaves ? leaves + r * f->trees : NULL;
        here = one_by_one ? 1 : count - r < stride ? count - r : stride;
        if (one_by_one) {
            FOR_PROCESSOR(alone)(f, these, scratch, to, found);
            continue;
        }
        FOR_PROCESSOR(fill)(f, these, here, column, column + (columns - f->features) * stride, stride);
        FOR_PROCESSOR(tile)(f, column, stride, here, to, found);
    }
    if (scratch != few) free(scratch);
    return 0;
}

#undef UNITS
#undef VECTORS
#undef TWO_TABLES
#undef FULL
#undef PLUS
#undef UNSIGNED
#undef WIDTH
#undef VECTOR
#undef PROCESSOR
#undef FOR_PROCESSOR
#undef LOOK_UP
#endif
