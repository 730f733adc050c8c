import { useMay } from "../api/queries";
import { DropZone } from "../uploads/DropZone";
import { UploadList } from "../uploads/UploadList";
import { AnalysisTable } from "./AnalysisTable";
import { ModelList } from "./ModelList";

export function Worklist() {
  const may = useMay();
  return (
    <div className="home">
      <div className="side">
        {may.change && <DropZone />}
        <ModelList />
      </div>
      {may.see && (
        <div className="list">
          <UploadList />
          <AnalysisTable />
        </div>
      )}
    </div>
  );
}
