/* What a thread does with tunnels by itself, shared by many of them; of the owner's thread alone. */

#include <stdlib.h>

#include "relay.h"

struct relay_policy *relay_policy_new(const struct relay_policy *like)
{
	struct relay_policy *policy = malloc(sizeof *policy);

	if (policy == NULL)
		return NULL;
	*policy = *like;
	policy->users = 1;
	return policy;
}

void relay_policy_drop(struct relay_policy *policy)
{
	if (policy != NULL && --policy->users == 0)
		free(policy);
}
