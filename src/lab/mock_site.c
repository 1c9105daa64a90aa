/* SPDX-License-Identifier: MIT
 * mock_site.c - see mock_site.h. */
#include <lab/mock_site.h>

#define PAGES_DEFAULT  1000u
#define PAGES_MAX      10000000u
#define DEPTH_DEFAULT  4u
#define DEPTH_MAX      30u
#define LINKS_DEFAULT  5u
#define LINKS_MAX      100u
#define BROKEN_DEFAULT 0.05

#define PRIVATE_EVERY  50u /* pages */
#define MOVED_EVERY    20u /* links across, on average */

_Static_assert(DEPTH_MAX + 2 <= WEFT_MOCK_SITE_LEVELS, "a level for each depth");

/* Pages of a tree with so many children each and so many levels below the root; enough is enough.
 */
static uint64_t pages_of(uint64_t fan_out, unsigned depth, uint64_t enough)
{
    uint64_t level = 1, pages = 1;
    for (unsigned i = 0; i < depth && pages < enough; i++) {
        level = level > enough / fan_out ? enough : level * fan_out;
        pages += level;
    }
    return pages;
}

/* The smallest with which the pages fit. */
static uint64_t find_fan_out(uint64_t pages, unsigned depth)
{
    uint64_t low = 1, high = pages;
    while (low < high) {
        uint64_t middle = (low + high) / 2;
        if (pages_of(middle, depth, pages) >= pages)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

const char *weft_mock_site_init(struct weft_mock_site *site,
                                const struct weft_mock_site_options *options, uint64_t seed)
{
    unsigned depth = options->depth ? options->depth : DEPTH_DEFAULT;
    *site = (struct weft_mock_site){
        .seed = seed,
        .pages = options->pages ? options->pages : PAGES_DEFAULT,
        .links = options->links ? options->links : LINKS_DEFAULT,
        .broken = options->broken != 0 ? options->broken : BROKEN_DEFAULT,
    };
    if (site->pages > PAGES_MAX)
        return "the site can have at most 10000000 pages";
    if (depth > DEPTH_MAX)
        return "the site can be at most 30 links deep";
    if (site->links > LINKS_MAX)
        return "a page can have at most 100 links across";
    if (!(site->broken <= 1))
        return "the share of pages with a broken link is at most 1";
    site->fan_out = find_fan_out(site->pages, depth);
    uint64_t level = 1;
    for (uint64_t end = 0; end < site->pages; level *= site->fan_out) {
        end = site->pages - end > level ? end + level : site->pages;
        site->ends[site->levels++] = end;
    }
    return NULL;
}

unsigned weft_mock_site_depth(const struct weft_mock_site *site, uint64_t page)
{
    unsigned depth = 0;
    while (depth + 1 < site->levels && page >= site->ends[depth])
        depth++;
    return depth;
}

void weft_mock_links_begin(struct weft_mock_links *links, const struct weft_mock_site *site,
                           uint64_t page)
{
    unsigned below = weft_mock_site_depth(site, page) + 1;
    uint64_t child = page * site->fan_out + 1, end = child + site->fan_out;
    *links = (struct weft_mock_links){
        .site = site,
        .page = page,
        .child = child,
        .children_end = end < site->pages ? end : site->pages,
        .across_end = site->ends[below < site->levels ? below : site->levels - 1],
        .across = site->links,
    };
    weft_random_seed(&links->random, site->seed + page * 0xd1342543de82ef95u);
}

static unsigned draw_form(struct weft_mock_links *links)
{
    return (unsigned)weft_random_below(&links->random, WEFT_MOCK_LINK_FORMS);
}

static struct weft_mock_link draw_across(struct weft_mock_links *links)
{
    uint64_t page = weft_random_below(&links->random, links->across_end);
    bool moved = weft_random_below(&links->random, MOVED_EVERY) == 0;
    return (struct weft_mock_link){
        .kind = moved ? WEFT_MOCK_LINK_MOVED : WEFT_MOCK_LINK_PAGE,
        .page = page,
        .form = draw_form(links),
    };
}

/* What a page has behind its links to others: perhaps a broken one, perhaps a private one. */
static bool draw_last(struct weft_mock_links *links, struct weft_mock_link *ret_link)
{
    const struct weft_mock_site *site = links->site;
    while (links->last < 2) {
        bool private = links->last++ == 1;
        double drawn = (double)(weft_random_next(&links->random) >> 11) * 0x1.0p-53;
        if (private ? links->page % PRIVATE_EVERY != 0 : drawn >= site->broken)
            continue;
        *ret_link = (struct weft_mock_link){
            .kind = private ? WEFT_MOCK_LINK_PRIVATE : WEFT_MOCK_LINK_BROKEN,
            .page = links->page,
        };
        return true;
    }
    return false;
}

bool weft_mock_links_next(struct weft_mock_links *links, struct weft_mock_link *ret_link)
{
    if (links->child < links->children_end) {
        *ret_link = (struct weft_mock_link){
            .kind = WEFT_MOCK_LINK_PAGE,
            .page = links->child++,
            .form = draw_form(links),
        };
        return true;
    }
    if (links->across > 0) {
        links->across--;
        *ret_link = draw_across(links);
        return true;
    }
    return draw_last(links, ret_link);
}
