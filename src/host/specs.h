// Inside the host: how specifications are told apart (specs.c), and one made without sharing (spec.c).
#ifndef TORVYN_HOST_SPECS_H
#define TORVYN_HOST_SPECS_H

#include "base/text.h"
#include "host/internal.h"

// Appends what the flow's specification is made of, as bytes to compare.
void tv_host_key(const tv_flow_model *flow, tv_text *key);
// The table's entry for that key, as tv_key_table_take.
tv_key_entry *tv_host_key_take(tv_key_table *table, const tv_flow_model *flow);

// tv_host_spec_init for a flow that need not be among those of the pipeline.
tv_status tv_host_spec_of(const tv_host_model *model, const tv_flow_model *flow, tv_module *const *modules,
                          tv_host_spec *spec, tv_error *error);

// Puts in what was missing when it was made: the content of assets that came later. No flow of it runs yet.
void tv_host_spec_complete(const tv_host_model *model, const tv_flow_model *flow, const tv_host_spec *spec);

#endif
