/* SPDX-License-Identifier: MIT */
#include "ledger.h"

int main(int argc, char **argv)
{
    return ledger_main(argc, argv);
}
