# SPDX-License-Identifier: MIT
"""The arithmetic of a comparison: paired ratios and their error, means, histograms.

A *result* is a dictionary, one measurement; "round" says which round it belongs to. An *estimate*
is a pair (value, standard error); the error is None where one round cannot tell.
"""

import math
import statistics

JUDGED = "requests_per_server_cpu_s"
# The standard error of a median is that of the mean times sqrt(pi / 2), for many normal values; for
# five it would be 1.20, so that this errs on the safe side.
MEDIAN_FACTOR = math.sqrt(math.pi / 2)


def median_error(values):
    if len(values) < 2:
        return None
    return MEDIAN_FACTOR * statistics.stdev(values) / math.sqrt(len(values))


def estimate(values):
    """The median with its standard error; None without values."""
    return (statistics.median(values), median_error(values)) if values else None


def paired_ratios(mine, theirs, field=JUDGED):
    """mine / theirs in each round that has both: what the machine did in that round cancels out."""
    by_round = {result["round"]: result[field] for result in theirs}
    return [result[field] / by_round[result["round"]] for result in mine
            if by_round.get(result["round"])]


def paired(mine, theirs, field=JUDGED):
    return estimate(paired_ratios(mine, theirs, field))


def geometric_mean(estimates):
    """Of the ratios of several cells; the errors are those of independent cells."""
    if not estimates:
        return None
    mean = math.exp(statistics.fmean(math.log(value) for value, _ in estimates))
    errors = [error for _, error in estimates]
    if None in errors:
        return mean, None
    relative = [error / value for value, error in estimates]
    return mean, mean * math.sqrt(sum(part * part for part in relative)) / len(relative)


def best(contenders, field=JUDGED):
    """The name with the highest median over the whole run, of {name: results}. Not the best of each
    round: the maximum of noisy figures is too high, the more so the noisier they are."""
    medians = {name: statistics.median(result[field] for result in results)
               for name, results in contenders.items() if results}
    return max(medians, key=medians.get) if medians else None


def paired_with_best(mine, contenders, field=JUDGED):
    """mine / the best of `contenders`, which in each round is who was best in all the *others*: being
    chosen says nothing about one's luck in the round that counts, as it does for the best of the
    whole run, which was the luckiest, too. Where rounds are few, it is not always the truly best one
    that is chosen: what is left errs in favour of `mine`. A single round has no others."""
    is_single = len({result["round"] for results in contenders.values() for result in results}) < 2
    ratios = []
    for mine_once in mine:
        elsewhere = {name: [result for result in results
                            if is_single or result["round"] != mine_once["round"]]
                     for name, results in contenders.items()}
        chosen = best(elsewhere, field)
        ratios += paired_ratios([mine_once], contenders.get(chosen, []), field)
    return estimate(ratios)


def reached(ratio, goal):
    """"met", "within error" (less than one standard error below), "missed", or "" for no ratio."""
    if ratio is None:
        return ""
    value, error = ratio
    if value >= goal:
        return "met"
    return "within error" if error is not None and value + error >= goal else "missed"


def goal_text(goal, verdict, quick):
    """A quick run has no verdict: its figures are good for nothing."""
    return f"{goal}" if quick or not verdict else f"{goal}: {verdict}"


# ---- Histograms: lists of [value in ns, count], as `load --buckets` prints them ----


def merge(histograms):
    counts = {}
    for histogram in histograms:
        for value, count in histogram:
            counts[value] = counts.get(value, 0) + count
    return sorted(counts.items())


def quantile(histogram, share):
    """The value below which `share` (0 to 1) of all lie; None when there are none."""
    rank = share * sum(count for _, count in histogram)
    seen = 0
    for value, count in histogram:
        seen += count
        if seen > rank:
            return value
    return histogram[-1][0] if histogram else None


# ---- Disturbance ----

OTHERS_MAX = 0.10  # CPU that others may use during a measurement, in cores
STOLEN_MAX = 0.05  # the same, of what a hypervisor takes away
WAITED_MAX = 0.05  # share of the time in which server or load was ready to run and others ran
MARKED_ABOVE = 0.10  # of the measurements: then the whole run is marked
DISTURBED_ADVICE = ("End what else runs on these cores (`top` shows it) and measure again, or do so "
                    "with more `--rounds`; do not publish these figures.")


def waited(result):
    """Of the server only where it has one thread: several wait for each other."""
    shares = [result.get("load_waited_share", 0)]
    if result.get("server_threads") == 1:
        shares.append(result["server_waited_share"])
    return max(shares)


def how_disturbed(result):
    """To choose the least disturbed one by."""
    return result["others_cores"] + waited(result)


def is_disturbed(result, others_max=OTHERS_MAX):
    return (result["others_cores"] > others_max + result.get("others_error", 0)
            or result["stolen_cores"] > STOLEN_MAX or waited(result) > WAITED_MAX)


def disturbance(results):
    """What every output says of the run."""
    disturbed = sum(result["disturbed"] for result in results)
    return {"disturbed": disturbed, "of": len(results),
            "marked": disturbed > MARKED_ABOVE * len(results)}


def rounds_text(results):
    rounds = 1 + max(result["round"] for result in results)
    return "1 round" if rounds == 1 else f"{rounds} rounds"


def disturbance_text(verdict):
    text = f"{verdict['disturbed']} of {verdict['of']} measurements disturbed"
    return f"DISTURBED RUN: {text}" if verdict["marked"] else text
