import { panels as analytics } from '@features/analytics/index';
import { panels as audit } from '@features/audit/index';
import { panels as blotters } from '@features/blotters/index';
import { panels as market } from '@features/market/index';
import { panels as rfq } from '@features/rfq/index';
import { PanelRegister } from '@ui/panels';

/** Every panel of the workstation. A new one is a folder under features and a line here. */
export const panels = new PanelRegister();
panels.register(...market, ...rfq, ...audit, ...blotters, ...analytics);
